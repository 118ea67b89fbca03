import { expect, it } from 'vitest'
import { findTraceEndpoint } from '../../../node/tracing/trace-endpoint.ts'

const none = { 'trace-endpoint': undefined }

it('is off unless it is asked for', () => {
  expect(findTraceEndpoint(none, {})).toBeUndefined()
  expect(
    findTraceEndpoint(none, { OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a:4318' }),
  ).toBeUndefined()
})

it.each([
  ['http://a:4318', 'http://a:4318/v1/traces'],
  ['http://a:4318/', 'http://a:4318/v1/traces'],
  ['https://a/otlp', 'https://a/otlp/v1/traces'],
  ['https://a/otlp/v1/traces', 'https://a/otlp/v1/traces'],
])('sends for %s to %s', (base, url) => {
  expect(findTraceEndpoint({ 'trace-endpoint': new URL(base) }, {})?.url.href).toBe(url)
  expect(findTraceEndpoint(none, { OTEL_EXPORTER_OTLP_ENDPOINT: base })?.url.href).toBe(url)
})

it('reads what every OpenTelemetry program reads, and the flag first', () => {
  const environment = {
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://b/as-it-is',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c',
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20secret, x-key = 7 ',
    OTEL_SERVICE_NAME: 'images',
  }
  expect(findTraceEndpoint(none, environment)).toEqual({
    url: new URL('http://b/as-it-is'),
    headers: { authorization: 'Bearer secret', 'x-key': '7' },
    serviceName: 'images',
  })
  expect(findTraceEndpoint({ 'trace-endpoint': new URL('http://a') }, environment)?.url.host).toBe('a')
})

it.each([
  { OTEL_EXPORTER_OTLP_ENDPOINT: 'file:///secret' },
  { OTEL_EXPORTER_OTLP_ENDPOINT: 'secret' },
  { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://user:secret@a' },
  { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a', OTEL_EXPORTER_OTLP_HEADERS: 'secret' },
  { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a', OTEL_EXPORTER_OTLP_HEADERS: 'a=%secret' },
])('refuses %j without repeating it', (environment) => {
  expect(() => findTraceEndpoint(none, environment)).toThrow(expect.objectContaining({ code: 'USAGE' }))
  expect(() => findTraceEndpoint(none, environment)).not.toThrow(/secret/)
})

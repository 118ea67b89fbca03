/** Where traces go, if anywhere: --trace-endpoint, or the variables that every OpenTelemetry program reads. */
import { type Settings, UsageError } from '../settings/settings.ts'

export interface TraceEndpoint {
  url: URL
  headers: Record<string, string>
  serviceName: string
}

const tracesPath = 'v1/traces'

/** `undefined` where nobody wants traces. Throws UsageError. */
export function findTraceEndpoint(
  { 'trace-endpoint': base }: Pick<Settings, 'trace-endpoint'>,
  environment: NodeJS.ProcessEnv,
): TraceEndpoint | undefined {
  const url = base === undefined ? urlFromEnvironment(environment) : withTracesPath(base)
  if (url === undefined) return undefined
  return {
    url,
    headers: headersOf(
      environment.OTEL_EXPORTER_OTLP_TRACES_HEADERS ?? environment.OTEL_EXPORTER_OTLP_HEADERS,
    ),
    serviceName: environment.OTEL_SERVICE_NAME || 'shoal',
  }
}

function urlFromEnvironment(environment: NodeJS.ProcessEnv): URL | undefined {
  if (environment.OTEL_SDK_DISABLED === 'true') return undefined
  const whole = environment.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
  if (whole) return readUrl('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', whole)
  const base = environment.OTEL_EXPORTER_OTLP_ENDPOINT
  return base ? withTracesPath(readUrl('OTEL_EXPORTER_OTLP_ENDPOINT', base)) : undefined
}

function withTracesPath(base: URL): URL {
  const url = new URL(base)
  if (!url.pathname.endsWith(`/${tracesPath}`)) {
    url.pathname = `${url.pathname.replace(/\/$/, '')}/${tracesPath}`
  }
  return url
}

function readUrl(name: string, text: string): URL {
  const url = URL.parse(text)
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:'
  if (url !== null && isHttp && url.username + url.password === '') return url
  throw new UsageError(
    `${name}: it is not accepted; expected a URL without a user name, such as http://localhost:4318`,
  )
}

/** `name=value,name=value`, percent-encoded. */
function headersOf(text: string | undefined): Record<string, string> {
  const pairs = (text ?? '').split(',').filter((pair) => pair.trim() !== '')
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      try {
        if (at < 1) throw new URIError('no name')
        return [pair.slice(0, at).trim(), decodeURIComponent(pair.slice(at + 1).trim())]
      } catch (error) {
        if (!(error instanceof URIError)) throw error
        // What was given may be a secret.
        throw new UsageError('OTEL_EXPORTER_OTLP_HEADERS: it is not accepted; expected name=value,name=value')
      }
    }),
  )
}

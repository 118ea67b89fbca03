/** What clients are told while a node stops, and what its log is not. */
import { expect, test } from 'vitest'
import { ClosingError, silentLogger } from '../../src/base/base.ts'
import { noMirror } from '../../src/registry/registry.ts'
import { openApi } from './harness.ts'

test('a request that a stop cuts off is told so, and is no error in the log', async () => {
  const errors: unknown[] = []
  await using api = await openApi({
    logger: { ...silentLogger, error: (...line: unknown[]) => errors.push(line) },
    mirror: () => ({
      ...noMirror,
      wordFor: () => 'rule',
      resolveTag: async () => {
        throw new ClosingError('the exchange is closing')
      },
    }),
  })
  const answer = await api.call('GET', '/v2/docker.io/library/alpine/manifests/1')
  expect(answer.status).toBe(503)
  expect(answer.json()).toMatchObject({
    errors: [{ code: 'UNAVAILABLE', message: expect.stringContaining('is stopping') }],
  })
  expect(errors).toEqual([])
})

import { expect, it } from 'vitest'
import { healthEndpoints, localProblems, roomNotes } from '../../node/health.ts'
import { createMetrics } from '../../node/metrics/metrics.ts'
import { silentLogger } from '../../src/base/base.ts'
import { Hosts } from '../../src/http/http.ts'
import { digestBytes } from '../../src/oci/oci.ts'
import { openLiveNode } from './live-node.ts'
import { openOperatedNode } from './operations/fixture.ts'

const part = {
  digest: digestBytes(Uint8Array.of(1)),
  size: 1,
  pieceBytes: 65_536,
  hashes: new Uint8Array(),
}

it('is not ready while its disk is full', async () => {
  await using node = await openLiveNode(['--min-free', '900TiB'])
  const answer = await fetch(`${node.url}/readyz`)
  expect(answer.status).toBe(503)
  expect(await answer.text()).toMatch(
    /^the disk is full: [\d.]+ [KMGT]iB are free, and nothing is taken below 900 TiB \(--min-free\)/m,
  )
  expect(await (await fetch(`${node.url}/metrics`)).text()).toContain('\nshoal_ready 0\n')
})

it('is not ready while its database takes nothing', async () => {
  await using operated = await openOperatedNode(['--min-free', '0'])
  const { settings, store } = operated.node
  expect(await localProblems(operated.node)).toEqual([])
  const databaseProblem = (): string => 'a write to the database failed'
  expect(await localProblems({ settings, store, databaseProblem })).toEqual([
    'a write to the database failed',
  ])
})

it('is not ready while its data directory cannot be looked at', async () => {
  await using operated = await openOperatedNode(['--min-free', '0'])
  const { settings, store } = operated.node
  const gone = { ...settings, data: `${settings.data}/gone` }
  const problems = await localProblems({ settings: gone, store, databaseProblem: () => undefined })
  expect(problems).toEqual([expect.stringMatching(/data directory .*gone cannot be looked at: ENOENT/)])
})

it('is not ready while it fills what it may', async () => {
  await using operated = await openOperatedNode(['--min-free', '0', '--max-disk', '1KiB'])
  const { store } = operated.node
  await expect(store.partials.open(part)).rejects.toMatchObject({ code: 'STORE_FULL' })
  expect(await localProblems(operated.node)).toEqual([expect.stringMatching(/of the 1\.0 KiB that it may/)])
})

it('is ready for pulls while larger pushes find no room, and says so', async () => {
  let limit = { filledBytes: 96, maxBytes: 100, highBytes: 95, lowBytes: 90, isStuck: true }
  const store = { room: { status: () => ({ limit }) } } as unknown as Parameters<typeof roomNotes>[0]
  const health = { problems: async () => [], notes: () => roomNotes(store) }
  const hosts = new Hosts({ names: [], logger: silentLogger })
  const endpoints = healthEndpoints(health, createMetrics(), hosts)
  const ask = async () => {
    const context = { method: 'GET', path: '/readyz' } as Parameters<typeof endpoints>[0]
    await endpoints(context, async () => undefined)
    return [context.status, context.body]
  }
  expect(await ask()).toEqual([
    200,
    expect.stringMatching(/^ready\npushes of more than 4 B are refused: .*--max-disk/),
  ])
  limit = { ...limit, isStuck: false }
  expect(await ask()).toEqual([200, 'ready\n'])
})

it('answers monitors, and nobody else, on a port of their own', async () => {
  const told: { address?: string }[] = []
  const logger = { ...silentLogger, info: (fields: { address?: string }) => void told.push(fields) }
  await using _node = await openLiveNode(['--metrics', '127.0.0.1:0'], { logger })
  const address = told.find((fields) => fields.address !== undefined)?.address
  const ask = async (path: string, headers = {}) => {
    const response = await fetch(`http://${address}${path}`, { headers })
    return { status: response.status, text: await response.text() }
  }
  expect((await ask('/metrics')).text).toContain('\nshoal_ready 1\n')
  expect((await ask('/healthz')).status).toBe(200)
  expect((await ask('/readyz')).status).toBe(200)
  for (const path of ['/', '/v2/', '/v2/_catalog', '/token', '/api/me', '/page/index.html'])
    expect((await ask(path)).status, path).toBe(404)
})

import { expect, it } from 'vitest'
import { localProblems } from '../../node/health.ts'
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
  expect(await answer.text()).toContain('the disk is full')
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
  expect(await localProblems(operated.node)).toEqual([expect.stringMatching(/of the 1024 bytes that it may/)])
})

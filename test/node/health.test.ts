import { expect, it } from 'vitest'
import { localProblems } from '../../node/health.ts'
import { openLiveNode } from './live-node.ts'
import { openOperatedNode } from './operations/fixture.ts'

it('is not ready while its disk is full', async () => {
  await using node = await openLiveNode(['--min-free', '900TiB'])
  const answer = await fetch(`${node.url}/readyz`)
  expect(answer.status).toBe(503)
  expect(await answer.text()).toContain('the disk is full')
  expect(await (await fetch(`${node.url}/metrics`)).text()).toContain('\nshoal_ready 0\n')
})

it('is not ready while its database takes nothing', async () => {
  await using operated = await openOperatedNode(['--min-free', '0'])
  const { settings } = operated.node
  expect(await localProblems(operated.node)).toEqual([])
  const databaseProblem = (): string => 'a write to the database failed'
  expect(await localProblems({ settings, databaseProblem })).toEqual(['a write to the database failed'])
})

it('is not ready while its data directory cannot be looked at', async () => {
  await using operated = await openOperatedNode(['--min-free', '0'])
  const { settings } = operated.node
  const gone = { ...settings, data: `${settings.data}/gone` }
  const problems = await localProblems({ settings: gone, databaseProblem: () => undefined })
  expect(problems).toEqual([expect.stringMatching(/data directory .*gone cannot be looked at: ENOENT/)])
})

import { expect, it } from 'vitest'
import { robotName, signAccount } from '../../../src/records/records.ts'
import { identity } from '../../records/fixture.ts'
import { openOperatedNode } from './fixture.ts'

const [ann, eve] = [identity(1), identity(2)]
const robot = (secret: string) => ({ type: 'robot' as const, secret: Buffer.alloc(32, secret), groups: [] })

function signed(name: string, author = ann, standing?: string, nowMs = Date.now()): { record: string } {
  const before = standing === undefined ? undefined : Buffer.from(standing, 'base64')
  const record = signAccount({ name, value: robot('a'), standing: before }, author, nowMs)
  return { record: Buffer.from(record).toString('base64') }
}

it('takes an account that an administrator’s own key signed, keeps it, and tells the others', async () => {
  await using node = await openOperatedNode()
  await node.perform('policy-set', { policy: { administrators: [ann.peerId] } })
  const told: boolean[] = []
  node.node.names.onRecords((_, { own }) => told.push(own))
  const name = robotName('deploy')
  expect(await node.perform('record-submit', signed(name))).toEqual({
    kind: 'account',
    name,
    author: ann.peerId,
  })
  expect(told).toEqual([true])
  expect((await node.perform('account-ls', {})).accounts).toMatchObject([{ name, author: ann.peerId }])
  const { records } = await node.perform('account-records', { names: [name, 'nobody', 'No Name'] })
  expect(Object.keys(records)).toEqual([name])
  await node.perform('record-submit', signed(name, ann, records[name]))
})

it.each([
  ['a key that the policy does not name', eve, 0, 'administrators'],
  ['a host whose clock is ahead', ann, 10 * 60_000, 'clock'],
])('refuses one of %s, and says why', async (_, author, aheadMs, why) => {
  await using node = await openOperatedNode()
  await node.perform('policy-set', { policy: { administrators: [ann.peerId] } })
  const given = signed('robot$deploy', author, undefined, Date.now() + aheadMs)
  await expect(node.perform('record-submit', given)).rejects.toMatchObject({
    code: 'RECORD_UNWANTED',
    message: expect.stringContaining(why),
  })
  expect((await node.perform('account-ls', {})).accounts).toEqual([])
})

it('refuses one that was changed since the record was signed', async () => {
  await using node = await openOperatedNode()
  await node.perform('policy-set', { policy: { administrators: [ann.peerId] } })
  const late = signed('robot$deploy', ann, undefined, Date.now() - 1000)
  await node.perform('account-robot', { name: 'deploy', groups: [] })
  await expect(node.perform('record-submit', late)).rejects.toThrow('meanwhile')
})

it('takes no record of anything else', async () => {
  await using node = await openOperatedNode()
  await node.perform('policy-set', { policy: {} })
  const policy = node.node.names.findRecord({ kind: 'policy' }) ?? new Uint8Array()
  const record = Buffer.from(policy).toString('base64')
  await expect(node.perform('record-submit', { record })).rejects.toMatchObject({ code: 'RECORD_UNWANTED' })
})

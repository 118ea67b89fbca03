import { expect, it } from 'vitest'
import { identity } from '../../records/fixture.ts'
import { openOperatedNode } from './fixture.ts'

const immutable = [{ repositories: '**', tags: 'v*' }]

it('leaves this node as the sealer of immutable tags when the authority key is dropped', async () => {
  await using node = await openOperatedNode()
  const exported = await node.perform('authority-export', { drop: false })
  expect(exported.sealers).toEqual([])
  const dropped = await node.perform('authority-export', { drop: true })
  expect(dropped.key).toBe(exported.key)
  expect(dropped.sealers).toHaveLength(1)
  expect(await node.perform('policy-show', {})).toMatchObject({ sealers: dropped.sealers })
  await expect(node.perform('authority-export', { drop: true })).rejects.toMatchObject({
    code: 'AUTHORITY_ABSENT',
  })
})

it('names this node as the sealer of the first immutable tags, unless others are named', async () => {
  await using node = await openOperatedNode()
  const { sealers } = await node.perform('policy-set', { policy: { immutable } })
  expect(sealers).toHaveLength(1)
  expect(await node.perform('policy-set', { policy: { immutable, rules: [] } })).toMatchObject({ sealers })
  expect(await node.perform('policy-set', { policy: { immutable, sealers: [] } })).toMatchObject({
    sealers: [],
  })
  const [self = ''] = sealers
  await node.perform('policy-set', { policy: { immutable, sealers: [self] } })
  // Whoever was named before goes on when the key is dropped.
  expect((await node.perform('authority-export', { drop: true })).sealers).toEqual([self])
})

it('is named beside sealers that are all banned, who seal nothing', async () => {
  await using node = await openOperatedNode()
  const { peerId: banned } = identity(9)
  const policy = { immutable, sealers: [banned], banned: [banned] }
  await node.perform('policy-set', { policy })
  const { sealers } = await node.perform('policy-set', { policy: { immutable, banned: [banned] } })
  expect(sealers).toHaveLength(2)
  expect(sealers[0]).toBe(banned)
  await node.perform('policy-set', { policy })
  expect((await node.perform('authority-export', { drop: true })).sealers).toEqual(sealers)
})

it('has no sealers where no tag is immutable', async () => {
  await using node = await openOperatedNode()
  expect(await node.perform('policy-set', { policy: { rules: [] } })).toMatchObject({ sealers: [] })
})

import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { signProposal } from '../../../node/authority-proposal.ts'
import { openLocalNode } from '../../../node/local-node.ts'
import { silentLogger } from '../../../src/base/base.ts'
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

it('signs no more with a key that was dropped, and again with one that was put back, without a restart', async () => {
  await using node = await openOperatedNode()
  const { key } = await node.perform('authority-export', { drop: true })
  await expect(node.perform('policy-set', { policy: {} })).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
  await node.perform('authority-import', { key })
  await node.perform('policy-set', { policy: {} })
  expect(await node.perform('authority-show', {})).toMatchObject({ held: true, handovers: [] })
})

it('hands the cluster over to a new key, which a start finds in place of the old one', async () => {
  await using node = await openOperatedNode()
  const old = (await node.perform('authority-export', { drop: false })).key
  await node.perform('account-robot', { name: 'deploy', groups: [] })
  const before = await node.perform('authority-show', {})
  const after = await node.perform('authority-rotate', {})
  expect(after).toMatchObject({ root: before.root, handovers: [{ to: after.now }], held: true })
  expect(after.now).not.toBe(before.now)
  await node.perform('policy-set', { policy: {} })
  await expect(node.perform('authority-import', { key: old })).rejects.toMatchObject({
    code: 'CLUSTER_CONFLICT',
  })
  expect((await node.perform('account-ls', {})).accounts).toMatchObject([{ name: 'robot$deploy' }])
  const { settings } = node.node
  await node.node[Symbol.asyncDispose]()
  await using again = await openLocalNode({ settings, logger: silentLogger, create: false })
  expect(again.names.authority.state().now).toBe(after.now)
  expect(again.names.authority.holds()).toBe(true)
})

it('leaves no key, secret or password in the audit log, and no key to other users', async () => {
  await using node = await openOperatedNode()
  const keys = [(await node.perform('authority-export', { drop: false })).key]
  const { secret } = await node.perform('account-robot', { name: 'deploy', groups: [] })
  const password = 'correct horse'
  await node.perform('account-add', { name: 'ann', password, groups: [] })
  await node.perform('authority-rotate', {})
  keys.push((await node.perform('authority-export', { drop: false })).key)
  await node.node[Symbol.asyncDispose]()
  const log = await readFile(join(node.data, 'audit.log'), 'utf8')
  expect(
    log
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).action),
  ).toEqual(['authority-export', 'account-robot', 'account-add', 'authority-rotate', 'authority-export'])
  for (const hidden of [...keys, secret, password]) expect(log).not.toContain(hidden)
  for (const name of (await readdir(node.data)).filter((file) => file.startsWith('authority')))
    expect((await stat(join(node.data, name))).mode & 0o077).toBe(0)
})

it('is replaced by as many administrators as the policy names, where its key is lost', async () => {
  await using node = await openOperatedNode()
  const [ann, bob, eve] = [identity(1), identity(2), identity(3)]
  const keys = [ann, bob].map(({ peerId }) => peerId)
  await expect(node.perform('authority-propose', {})).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
  await node.perform('policy-set', { policy: { recovery: { keys, need: 2 } } })
  await node.perform('authority-export', { drop: true })
  const proposal = await node.perform('authority-propose', {})
  const one = signProposal(proposal, ann)
  const wrong = signProposal(one, eve)
  for (const short of [one, wrong])
    await expect(node.perform('authority-apply', { proposal: short })).rejects.toThrow(
      `1 of the keys that the policy's "recovery" names have signed, and it takes 2`,
    )
  const redated = { ...signProposal(one, bob), atMs: proposal.atMs + 1 }
  await expect(node.perform('authority-apply', { proposal: redated })).rejects.toMatchObject({
    code: 'BAD_SIGNATURE',
  })
  const after = await node.perform('authority-apply', { proposal: signProposal(wrong, bob) })
  expect(after).toMatchObject({ now: proposal.to, held: true, handovers: [{ isReplaced: true }] })
  expect(await node.perform('policy-show', {})).toMatchObject({ recovery: { keys, need: 2 } })
  await expect(node.perform('authority-apply', { proposal })).rejects.toMatchObject({ code: 'PROPOSAL' })
})

it('adds the signature of the node itself, where no other key is given', async () => {
  await using node = await openOperatedNode()
  const { identity: self } = node.node.membership
  await node.perform('policy-set', { policy: { recovery: { keys: [self.peerId], need: 1 } } })
  const proposal = await node.perform('authority-propose', {})
  const signed = await node.perform('authority-sign', { proposal })
  expect(Object.keys(signed.signatures)).toEqual([self.peerId])
  expect(await node.perform('authority-apply', { proposal: signed })).toMatchObject({ now: proposal.to })
})

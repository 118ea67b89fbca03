import { expect, it } from 'vitest'
import { performSigned } from '../../../node/command-line/signed-invitations.ts'
import { openLocalNode } from '../../../node/local-node.ts'
import { readSettings } from '../../../node/settings/settings.ts'
import { silentLogger } from '../../../src/base/base.ts'
import { invitationId } from '../../../src/records/records.ts'
import { parseToken } from '../../../src/swarm/cluster/token.ts'
import { identityFromSeed } from '../../../src/wire/wire.ts'
import { openScratchFolder } from '../../e2e/scratch-folder.ts'
import { identity } from '../../records/fixture.ts'

it('invites, and takes invitations back, by a key that the node never sees, and by no other', async () => {
  await using folder = await openScratchFolder()
  const { settings } = readSettings(['--data', folder.at('data')], {})
  const [ann, eve] = [identity(1), identity(2)]
  const open = (create: boolean) => openLocalNode({ settings, logger: silentLogger, create })
  const invited = { expiresMs: 3600_000, uses: 2, approved: true, site: 'berlin' }
  {
    await using node = await open(true)
    const policy = { rules: [], immutable: [], sealers: [], banned: [], administrators: [ann.peerId] }
    await node.names.setPolicy({ ...policy, members: 'approved' })
  }
  await expect(performSigned(settings, 'token-create', invited, eve)).rejects.toMatchObject({
    code: 'RECORD_UNWANTED',
  })
  const made = await performSigned(settings, 'token-create', invited, ann)
  expect(made).toMatchObject({
    running: false,
    invitation: { uses: 2, isApproved: true, site: 'berlin', author: ann.peerId, admitted: [] },
  })
  const { invitation: seed = new Uint8Array() } = parseToken(made.token)
  expect(invitationId(identityFromSeed(seed).publicKey)).toBe(made.invitation.id)
  {
    await using node = await open(false)
    const { admitted: _, ...shown } = made.invitation
    expect(node.names.roster().invitations.get(shown.id)).toMatchObject({ author: ann.peerId, uses: 2 })
    // Nothing of the cluster's secret is in it.
    expect(made.token).not.toContain(Buffer.from(node.membership.cluster.secret).toString('base64url'))
  }
  await expect(performSigned(settings, 'token-revoke', { id: 'ffff' }, ann)).rejects.toMatchObject({
    code: 'INVITATION',
  })
  await expect(performSigned(settings, 'token-create', { ...invited, uses: 0 }, ann)).rejects.toMatchObject({
    code: 'INVITATION',
  })
  const id = made.invitation.id.slice(0, 6)
  const revoked = await performSigned(settings, 'token-revoke', { id }, ann)
  expect(revoked).toMatchObject({ id: made.invitation.id, revokedMs: expect.any(Number), uses: 2 })
})

it('makes no more invitations than the cluster takes', async () => {
  await using folder = await openScratchFolder()
  const { settings } = readSettings(['--data', folder.at('data')], {})
  const ann = identity(1)
  await using node = await openLocalNode({ settings, logger: silentLogger, create: true })
  await node.names.setPolicy({
    rules: [],
    immutable: [],
    sealers: [],
    banned: [],
    administrators: [ann.peerId],
  })
  await node.names.publishAsAuthority(
    Array.from({ length: 64 }, (_, n) => {
      const { publicKey: key } = identity(100 + n)
      return {
        kind: 'invitation' as const,
        id: invitationId(key),
        value: { key, uses: 1, expiresMs: Date.now() + 3600_000 },
      }
    }),
  )
  await node[Symbol.asyncDispose]()
  const invited = { expiresMs: 3600_000, uses: 1, approved: false }
  await expect(performSigned(settings, 'token-create', invited, ann)).rejects.toMatchObject({
    code: 'INVITATION',
    message: expect.stringContaining('64 invitations'),
  })
})

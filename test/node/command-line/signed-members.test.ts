import { expect, it } from 'vitest'
import { performSigned } from '../../../node/command-line/signed-members.ts'
import { openLocalNode } from '../../../node/local-node.ts'
import { readSettings } from '../../../node/settings/settings.ts'
import { silentLogger } from '../../../src/base/base.ts'
import { openScratchFolder } from '../../e2e/scratch-folder.ts'
import { identity } from '../../records/fixture.ts'

it('approves, names and forgets members by a key that the node never sees, and by no other', async () => {
  await using folder = await openScratchFolder()
  const { settings } = readSettings(['--data', folder.at('data')], {})
  const [ann, eve] = [identity(1), identity(2)]
  const who = identity(3).peerId
  const open = (create: boolean) => openLocalNode({ settings, logger: silentLogger, create })
  {
    await using node = await open(true)
    const policy = { rules: [], immutable: [], sealers: [], banned: [], administrators: [ann.peerId] }
    await node.names.setPolicy({ ...policy, members: 'approved' })
    expect(node.names.isGuest(who)).toBe(true)
  }
  await expect(performSigned(settings, 'member-approve', { who }, eve)).rejects.toMatchObject({
    code: 'RECORD_UNWANTED',
  })
  expect(await performSigned(settings, 'member-approve', { who }, ann)).toEqual({ peer: who })
  await performSigned(settings, 'member-rename', { who, name: 'host-c' }, ann)
  {
    await using node = await open(false)
    expect(node.names.isGuest(who)).toBe(false)
    expect(node.names.roster().entries.get(who)).toMatchObject({ isApproved: true, name: 'host-c' })
  }
  await performSigned(settings, 'member-forget', { who: 'host-c' }, ann)
  await expect(performSigned(settings, 'member-forget', { who: 'nobody' }, ann)).rejects.toMatchObject({
    code: 'MEMBER',
  })
  await using node = await open(false)
  expect(node.names.isGuest(who)).toBe(true)
  expect(node.names.roster().entries.get(who)).toMatchObject({ goneMs: expect.any(Number), name: 'host-c' })
})

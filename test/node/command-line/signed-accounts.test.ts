import { expect, it } from 'vitest'
import { performSigned } from '../../../node/command-line/signed-accounts.ts'
import { openLocalNode } from '../../../node/local-node.ts'
import { readSettings } from '../../../node/settings/settings.ts'
import { hashSecret } from '../../../src/access/access.ts'
import { silentLogger } from '../../../src/base/base.ts'
import { openScratchFolder } from '../../e2e/scratch-folder.ts'
import { identity } from '../../records/fixture.ts'

it('changes accounts by a key that the node never sees', async () => {
  await using folder = await openScratchFolder()
  const { settings } = readSettings(['--data', folder.at('data')], {})
  const ann = identity(1)
  const open = (create: boolean) => openLocalNode({ settings, logger: silentLogger, create })
  {
    await using node = await open(true)
    const policy = { rules: [], immutable: [], sealers: [], banned: [], administrators: [ann.peerId] }
    await node.names.setPolicy(policy)
  }
  const made = await performSigned(settings, 'account-robot', { name: 'deploy', groups: [] }, ann)
  const { name, secret } = made
  expect(made.hasRules).toBe(false)
  await performSigned(settings, 'account-groups', { name, groups: ['ci'] }, ann)
  await expect(performSigned(settings, 'account-rm', { name: 'nobody' }, ann)).rejects.toMatchObject({
    code: 'ACCOUNT',
  })
  await expect(performSigned(settings, 'account-rm', { name }, identity(2))).rejects.toMatchObject({
    code: 'RECORD_UNWANTED',
  })
  await using node = await open(false)
  expect(node.names.findAccount(name)).toMatchObject({
    author: ann.peerId,
    value: { type: 'robot', groups: ['ci'], secret: hashSecret(secret) },
  })
})

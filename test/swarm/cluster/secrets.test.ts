import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { secretNames } from '../../../src/swarm/cluster/cluster.ts'
import { readRotation, signRotation } from '../../../src/swarm/cluster/rotation.ts'
import {
  findAuthority,
  findCluster,
  joinCluster,
  openIdentity,
  openSecrets,
  startCluster,
  tokenOf,
} from '../../../src/swarm/swarm.ts'
import { type Identity, identityFromSeed } from '../../../src/wire/wire.ts'
import { ManualClock } from '../../records/fixture.ts'
import { temporaryFolder } from '../fixture.ts'

const graceMs = 60_000
let stack: AsyncDisposableStack
let clock: ManualClock
let folder: string
let other: string
let authority: Identity
let members: string[]
beforeEach(async () => {
  stack = new AsyncDisposableStack()
  clock = new ManualClock()
  folder = await temporaryFolder(stack)
  other = await temporaryFolder(stack)
  const cluster = await startCluster(folder)
  await joinCluster(other, tokenOf(cluster))
  const found = await findAuthority(folder)
  if (found === undefined) throw new Error('the cluster was started here')
  authority = found
  members = [(await openIdentity(folder)).peerId, (await openIdentity(other)).peerId]
})
afterEach(async () => {
  await stack.disposeAsync()
})

const open = (directory: string) => openSecrets(directory, { clock })
const protocols = (secrets: Awaited<ReturnType<typeof open>>) =>
  secrets.names().map(({ protocol }) => protocol)

async function rotated() {
  const secrets = await open(folder)
  const [before] = protocols(secrets)
  await secrets.rotate({ authority, members, graceMs })
  const rotation = secrets.rotation()
  if (rotation === undefined) throw new Error('it was rotated')
  return { secrets, before, signed: rotation.signed }
}

test('a rotation is these bytes', () => {
  const key = identityFromSeed(new Uint8Array(32).fill(1))
  const rotation = {
    generation: 2,
    secret: new Uint8Array(32).fill(3),
    untilMs: 1_800_000_000_000,
    members: [key.peerId],
  }
  expect(Buffer.from(signRotation(rotation, key)).toString('base64')).toMatchInlineSnapshot(
    `"iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1xcr0WvvkSBwy4CLhMlPkE2Tamb7wUH0ZTDEyfuX1L5lD5NVx3h1r45eRV82rwH72VjxmLBY3AxREKKaXBmmG0CpGV1bnRpbBsAAAGjGFxQAGZzZWNyZXRYIAMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDZ21lbWJlcnOBWCCKiOPddAnxlf1S2y08ul1yymcJvx2UEhvzdIgBtA9vXGpnZW5lcmF0aW9uAg=="`,
  )
})

describe('the secrets of a node', () => {
  test('are the new one, and that of before until its grace ends, over restarts', async () => {
    const { secrets, before } = await rotated()
    const [newest] = protocols(secrets)
    expect(protocols(secrets)).toEqual([newest, before])
    expect(newest).not.toBe(before)
    expect(protocols(await open(folder))).toEqual([newest, before])
    clock.ms += graceMs
    expect(protocols(secrets)).toEqual([newest])
    expect(protocols(await open(folder))).toEqual([newest])
  })

  test('are learnt from a member, once, and handed on with who is to get them', async () => {
    const { secrets, signed } = await rotated()
    const learner = await open(other)
    let changes = 0
    learner.onRotation(() => changes++)
    expect([await learner.learn(signed), await learner.learn(signed)]).toEqual([true, true])
    expect(changes).toBe(1)
    expect(protocols(learner)).toEqual(protocols(secrets))
    expect(learner.rotation()).toEqual({ signed, members: new Set(members) })
    expect((await open(other)).rotation()).toEqual({ signed, members: new Set(members) })
    expect(learner.cluster()).toMatchObject({ generation: 1, secret: secrets.cluster().secret })
  })

  test('leave nothing of the old one on the disk once that has ended', async () => {
    const { before, secrets } = await rotated()
    const old = /earlier \d+ ([0-9a-f]{64})/.exec(await readFile(join(folder, 'cluster'), 'utf8'))?.[1] ?? ''
    const { authority: key } = secrets.cluster()
    expect(secretNames({ secret: Buffer.from(old, 'hex'), authority: key }).protocol).toBe(before)
    expect((await stat(join(folder, 'cluster'))).mode & 0o777).toBe(0o600)
    await secrets.prune()
    expect(await readFile(join(folder, 'cluster'), 'utf8')).toContain(old)
    clock.ms += graceMs
    await secrets.prune()
    expect(await readFile(join(folder, 'cluster'), 'utf8')).not.toContain(old)
  })

  test('skip a rotation that a node was away for', async () => {
    const { secrets } = await rotated()
    await secrets.rotate({ authority, members, graceMs })
    const away = await open(other)
    const [first] = protocols(away)
    expect(await away.learn(secrets.rotation()?.signed ?? new Uint8Array())).toBe(true)
    expect(protocols(away)).toEqual([protocols(secrets)[0], first])
    expect(protocols(secrets)).toHaveLength(3)
    expect(away.cluster().generation).toBe(2)
  })

  test('do not go back: a rotation of before is refused, and of two at once the same wins everywhere', async () => {
    const { secrets, signed } = await rotated()
    await secrets.rotate({ authority, members, graceMs })
    const second = secrets.rotation()?.signed ?? new Uint8Array()
    expect(await secrets.learn(signed)).toBe(false)
    expect(secrets.cluster().generation).toBe(2)
    const learner = await open(other)
    await learner.learn(signed)
    await learner.rotate({ authority, members, graceMs })
    const rival = learner.rotation()?.signed ?? new Uint8Array()
    const [one, two] = [await secrets.learn(rival), await learner.learn(second)]
    expect([one, two].filter(Boolean)).toHaveLength(1)
    expect(protocols(secrets)[0]).toBe(protocols(learner)[0])
  })

  test.each([
    [
      'signed by somebody else',
      async (signed: Uint8Array, wrong: Identity) =>
        signRotation(await readRotation(signed, () => true), wrong),
    ],
    [
      'changed',
      async (signed: Uint8Array) => signed.map((byte, at) => (at === signed.length - 1 ? byte ^ 1 : byte)),
    ],
    ['cut', async (signed: Uint8Array) => signed.subarray(0, 90)],
    [
      'of another domain',
      async () => Buffer.concat([authority.publicKey, authority.sign(Buffer.from('x')), Buffer.from('x')]),
    ],
  ])('are not learnt from a rotation that is %s', async (_name, spoil) => {
    const { signed } = await rotated()
    const learner = await open(other)
    const spoilt = await spoil(signed, identityFromSeed(new Uint8Array(32).fill(7)))
    await expect(learner.learn(spoilt)).rejects.toMatchObject({ code: 'MALFORMED' })
    expect(learner.cluster().generation).toBeUndefined()
  })

  test('are learnt from what the authority of now signed, and no more from what the one of before did', async () => {
    const { secrets, signed } = await rotated()
    const next = identityFromSeed(new Uint8Array(32).fill(9))
    const isNext = (key: Uint8Array): boolean => Buffer.compare(key, next.publicKey) === 0
    const learner = await open(other)
    learner.trust(isNext)
    await expect(learner.learn(signed)).rejects.toMatchObject({ code: 'MALFORMED' })
    secrets.trust(isNext)
    await secrets.signAgain(next)
    // As a restart finds it.
    const again = (await open(folder)).rotation()?.signed ?? new Uint8Array()
    expect(await learner.learn(again)).toBe(true)
    expect(protocols(learner)).toEqual(protocols(secrets))
  })

  test('are read where a version before kept what is of rotations in a file of its own, and kept in one from then on', async () => {
    const before = await readFile(join(folder, 'cluster'), 'utf8')
    const { secrets } = await rotated()
    const lines = (await readFile(join(folder, 'cluster'), 'utf8')).split('\n')
    const own = lines.filter((line) => /^(generation|signed|earlier) /.test(line))
    const old = before.split('\n').filter((line) => !line.startsWith('generation'))
    await writeFile(join(folder, 'cluster'), old.join('\n'), { mode: 0o600 })
    await writeFile(join(folder, 'rotation'), `${own.join('\n')}\n`, { mode: 0o600 })
    expect(await findCluster(folder)).toEqual(secrets.cluster())
    const read = await open(folder)
    expect(protocols(read)).toEqual(protocols(secrets))
    clock.ms += graceMs
    await read.prune()
    await expect(stat(join(folder, 'rotation'))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(protocols(await open(folder))).toEqual(protocols(secrets))
  })

  test('are all as they were where a node could not write that it joined anew with a later token', async () => {
    const { secrets } = await rotated()
    await secrets.rotate({ authority, members: [], graceMs })
    const member = await open(other)
    const before = [await findCluster(other), protocols(member)]
    // What is written before it takes the file's place cannot be.
    await mkdir(join(other, 'cluster.new'))
    await expect(joinCluster(other, tokenOf(secrets.cluster()))).rejects.toThrow()
    expect([await findCluster(other), protocols(await open(other))]).toEqual(before)
    await rm(join(other, 'cluster.new'), { recursive: true })
    await joinCluster(other, tokenOf(secrets.cluster()))
    expect(protocols(await open(other))).toEqual(protocols(secrets).slice(0, 1))
  })

  test('of two rotations at once keep that of the one which lost until the next, on both sides', async () => {
    const [one, two] = [await open(folder), await open(other)]
    for (const secrets of [one, two]) await secrets.rotate({ authority, members, graceMs })
    const signed = [one, two].map((secrets) => secrets.rotation()?.signed ?? new Uint8Array())
    const tokens = [one, two].map((secrets) => secrets.cluster().secret)
    await one.learn(signed[1] ?? new Uint8Array())
    await two.learn(signed[0] ?? new Uint8Array())
    expect(protocols(one)[0]).toBe(protocols(two)[0])
    clock.ms += graceMs
    const both = tokens.map((secret) => secretNames({ ...one.cluster(), secret }).protocol).sort()
    for (const directory of [folder, other]) {
      const kept = await open(directory)
      expect(protocols(kept).sort()).toEqual(both)
      expect([...kept.rivals()]).toEqual(both.filter((name) => name !== protocols(one)[0]))
    }
    await one.rotate({ authority, members, graceMs })
    expect(one.rivals().size).toBe(0)
    clock.ms += graceMs
    expect(protocols(one)).toHaveLength(1)
  })

  test.each(['rubbish\n', 'generation x\n', 'generation 1\nsigned AAAA\n', 'earlier 1 ab\n', 'rival ab\n'])(
    'are not read from a file that holds anything else: %j',
    async (text) => {
      const token = (await readFile(join(folder, 'cluster'), 'utf8')).split('\n')[0]
      await writeFile(join(folder, 'cluster'), `${token}\n${text}`, { mode: 0o600 })
      await expect(open(folder)).rejects.toMatchObject({ code: 'SWARM_FILE' })
      await writeFile(join(folder, 'cluster'), `${token}\n`, { mode: 0o600 })
      await writeFile(join(folder, 'rotation'), text, { mode: 0o600 })
      await expect(open(folder)).rejects.toMatchObject({ code: 'SWARM_FILE' })
    },
  )

  test('follow a token that is later, and end those of before at once', async () => {
    const { secrets } = await rotated()
    await joinCluster(other, tokenOf(secrets.cluster()))
    const joined = await open(other)
    expect(protocols(joined)).toEqual(protocols(secrets).slice(0, 1))
    expect(joined.rotation()).toBeUndefined()
    expect(await joined.learn(secrets.rotation()?.signed ?? new Uint8Array())).toBe(true)
  })
})

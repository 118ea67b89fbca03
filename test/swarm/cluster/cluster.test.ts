import { createPublicKey, sign, verify } from 'node:crypto'
import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createAdminKey, readAdminKey } from '../../../src/swarm/cluster/admin-key.ts'
import { findComing, prepareAuthority, settleAuthority } from '../../../src/swarm/cluster/authority.ts'
import { clusterNames, secretNames } from '../../../src/swarm/cluster/cluster.ts'
import { encodeToken } from '../../../src/swarm/cluster/token.ts'
import {
  type Cluster,
  clusterId,
  dropAuthority,
  exportAuthority,
  findAuthority,
  findCluster,
  importAuthority,
  joinCluster,
  openIdentity,
  openSecrets,
  parseToken,
  startCluster,
  tokenOf,
} from '../../../src/swarm/swarm.ts'
import { parsePeerId } from '../../../src/wire/wire.ts'
import { temporaryFolder } from '../fixture.ts'

let stack: AsyncDisposableStack
let folder: string
let other: string
beforeEach(async () => {
  stack = new AsyncDisposableStack()
  folder = await temporaryFolder(stack)
  other = await temporaryFolder(stack)
})
afterEach(async () => {
  await stack.disposeAsync()
})

async function rotate(directory: string): Promise<Cluster> {
  const authority = await findAuthority(directory)
  if (authority === undefined) throw new Error('this one holds the authority')
  const secrets = await openSecrets(directory)
  await secrets.rotate({ authority, members: [], graceMs: 1_000 })
  return secrets.cluster()
}

const address = '/ip4/192.0.2.1/tcp/5001'

describe('identity', () => {
  test('is made once, kept in a file that only its owner reads, and is the peer id', async () => {
    const first = await openIdentity(folder)
    const again = await openIdentity(folder)
    expect(again.peerId).toBe(first.peerId)
    expect(parsePeerId(first.peerId)).toEqual(first.publicKey)
    expect((await stat(join(folder, 'identity'))).mode & 0o777).toBe(0o600)
    const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), first.publicKey])
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' })
    expect(verify(null, Buffer.from('x'), key, again.sign(Buffer.from('x')))).toBe(true)
    const pem = await readFile(join(folder, 'identity'), 'utf8')
    expect(verify(null, Buffer.from('y'), key, sign(null, Buffer.from('y'), pem))).toBe(true)
  })

  test('that others may read, or that is no key, is refused with what to do', async () => {
    await openIdentity(folder)
    const path = join(folder, 'identity')
    await chmod(path, 0o644)
    await expect(openIdentity(folder)).rejects.toMatchObject({ code: 'SWARM_FILE' })
    await expect(openIdentity(folder)).rejects.toThrow(`chmod 600 ${path}`)
    await chmod(path, 0o600)
    await writeFile(path, 'rubbish')
    await expect(openIdentity(folder)).rejects.toMatchObject({ code: 'SWARM_FILE' })
  })
})

describe('cluster', () => {
  test('starts, is remembered, and its token lets another join', async () => {
    const cluster = await startCluster(folder)
    expect(await findCluster(folder)).toEqual(cluster)
    expect((await findAuthority(folder))?.publicKey).toEqual(cluster.authority)
    await joinCluster(other, tokenOf(cluster, [address]))
    expect(await findCluster(other)).toEqual({ ...cluster, bootstrap: [address] })
    expect(await findAuthority(other)).toBeUndefined()
    for (const name of ['cluster', 'authority']) {
      expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600)
    }
    await expect(startCluster(folder)).rejects.toMatchObject({ code: 'CLUSTER_CONFLICT' })
  })

  test('refuses to join a second cluster, and says what to do', async () => {
    await startCluster(folder)
    const token = tokenOf(await startCluster(other))
    await expect(joinCluster(folder, token)).rejects.toMatchObject({ code: 'CLUSTER_CONFLICT' })
    await expect(joinCluster(folder, token)).rejects.toThrow(join(folder, 'cluster'))
    await rm(join(folder, 'cluster'))
    await joinCluster(folder, token)
  })

  test('a rotation changes the secret and what is derived from it, and members follow with the new token', async () => {
    const before = await startCluster(folder)
    await joinCluster(other, tokenOf(before, [address]))
    const after = await rotate(folder)
    expect(after.authority).toEqual(before.authority)
    expect(clusterId(after)).toBe(clusterId(before))
    expect(after.secret).not.toEqual(before.secret)
    const [a, b] = [clusterNames(before), clusterNames(after)]
    expect(a).toEqual(b)
    expect(secretNames(before).protocol).not.toBe(secretNames(after).protocol)
    expect(secretNames(before).prologue).not.toEqual(secretNames(after).prologue)
    expect(await joinCluster(other, tokenOf(after))).toEqual({ ...after, bootstrap: [address] })
    await expect(openSecrets(await temporaryFolder(stack))).rejects.toMatchObject({
      code: 'CLUSTER_CONFLICT',
    })
  })

  test('a secret that a rotation gave up leads no member back, and takes its addresses in all the same', async () => {
    const before = await startCluster(folder)
    await joinCluster(other, tokenOf(before))
    const after = await rotate(folder)
    await joinCluster(other, tokenOf(after))
    for (const member of [folder, other]) {
      let retired = 0
      const cluster = await joinCluster(member, tokenOf(before, [address]), { onRetired: () => retired++ })
      expect(cluster).toEqual({ ...after, bootstrap: [address] })
      expect(await findCluster(member)).toEqual(cluster)
      expect(retired).toBe(1)
    }
    await joinCluster(other, tokenOf(after), { onRetired: () => expect.unreachable('it is current') })
  })

  test('a token of before leads no node back that never had it', async () => {
    const before = tokenOf(await startCluster(folder))
    const current = await rotate(folder)
    await joinCluster(other, tokenOf(current))
    let retired = 0
    expect(await joinCluster(other, before, { onRetired: () => retired++ })).toEqual(current)
    expect(retired).toBe(1)
    const later = await rotate(folder)
    expect(later.generation).toBe(2)
    expect(await joinCluster(other, tokenOf(later))).toEqual(later)
    await joinCluster(other, tokenOf(current), { onRetired: () => retired++ })
    expect(retired).toBe(2)
  })

  test('remembers retired secrets by name alone, and refuses a file that holds anything else', async () => {
    const { secret } = await startCluster(folder)
    await rotate(folder)
    const path = join(folder, 'cluster')
    const text = await readFile(path, 'utf8')
    // During its grace the secret itself stands in another line.
    const [kept = ''] = /^shoal1:\S+\nretired [0-9a-f]{64}\n/.exec(text) ?? []
    expect(kept).not.toBe('')
    expect(kept).not.toContain(Buffer.from(secret).toString('hex'))
    await writeFile(path, `${text}rubbish\n`)
    await expect(findCluster(folder)).rejects.toMatchObject({ code: 'SWARM_FILE' })
  })

  test('one that was started by mistake gives way to the one that is joined', async () => {
    await startCluster(folder)
    const wanted = await startCluster(other)
    const isUnused = async () => true
    expect(await joinCluster(folder, tokenOf(wanted), { isUnused })).toEqual(wanted)
    expect(await findAuthority(folder)).toBeUndefined()
  })

  test('names derived from a secret do not change between versions', () => {
    const cluster = { secret: new Uint8Array(32), authority: new Uint8Array(32).fill(1) }
    const { protocol, prologue } = secretNames(cluster)
    const names = { ...clusterNames(cluster), protocol, prologue: Buffer.from(prologue).toString('hex') }
    expect(names).toMatchInlineSnapshot(`
      {
        "mdnsService": "_9705629e9ea41d5c61dfb06697dc45a2._udp.local",
        "prologue": "55d5c447559e6d7e1cd9422ca0ca50e90edd62faa03b67ad21e56a4d9d95b1b3",
        "protocol": "/noise/e8a0583580bff0df19256862aca1f30b",
        "topic": "/shoal/records/1/f18923fef517ab4e367964fe7725496d",
      }
    `)
  })
})

describe('authority key', () => {
  const governs =
    ({ authority }: { authority: Uint8Array }) =>
    (key: Uint8Array): boolean =>
      Buffer.compare(key, authority) === 0

  test('that was prepared takes the place of the one before once it governs, and goes where it never came to', async () => {
    await startCluster(folder)
    const before = await findAuthority(folder)
    await prepareAuthority(folder, 'authority.next')
    expect(await settleAuthority(folder, () => false)).toMatchObject({ peerId: before?.peerId })
    const next = await prepareAuthority(folder, 'authority.next')
    const proposed = await prepareAuthority(folder, 'authority.proposed')
    const settled = await settleAuthority(folder, governs({ authority: next.publicKey }))
    expect(settled?.peerId).toBe(next.peerId)
    expect(await findComing(folder, 'authority.next')).toBeUndefined()
    // Others may yet sign for it.
    expect((await findComing(folder, 'authority.proposed'))?.peerId).toBe(proposed.peerId)
    expect((await stat(join(folder, 'authority'))).mode & 0o777).toBe(0o600)
  })

  test('of an administrator is read as it was made, kept from others, and never made over another', async () => {
    const path = join(folder, 'ann.key')
    const { peerId } = await createAdminKey(path)
    expect((await readAdminKey(path)).peerId).toBe(peerId)
    await expect(createAdminKey(path)).rejects.toMatchObject({ code: 'SWARM_FILE' })
    expect((await readAdminKey(path)).peerId).toBe(peerId)
    await chmod(path, 0o640)
    await expect(readAdminKey(path)).rejects.toThrow(`chmod 600 ${path}`)
    await expect(readAdminKey(join(folder, 'no.key'))).rejects.toMatchObject({ code: 'SWARM_FILE' })
  })

  test('moves to another member and back', async () => {
    const cluster = await startCluster(folder)
    await joinCluster(other, tokenOf(cluster))
    const exported = await exportAuthority(folder)
    expect(await dropAuthority(folder)).toBe(true)
    expect(await dropAuthority(folder)).toBe(false)
    await expect(exportAuthority(folder)).rejects.toMatchObject({ code: 'AUTHORITY_ABSENT' })
    await importAuthority(other, `${exported}\n`, governs(cluster))
    expect((await findAuthority(other))?.publicKey).toEqual(cluster.authority)
    expect(await exportAuthority(other)).toBe(exported)
  })

  test('of another cluster, damaged, or for a node without a cluster is refused', async () => {
    const cluster = await startCluster(folder)
    const exported = await exportAuthority(folder)
    await expect(importAuthority(other, exported, () => true)).rejects.toMatchObject({
      code: 'CLUSTER_CONFLICT',
    })
    const another = await startCluster(other)
    await expect(importAuthority(other, exported, governs(another))).rejects.toMatchObject({
      code: 'CLUSTER_CONFLICT',
    })
    await expect(importAuthority(folder, exported.slice(0, -2), governs(cluster))).rejects.toMatchObject({
      code: 'TOKEN_INVALID',
    })
    await expect(
      importAuthority(folder, tokenOf(await startCluster(await temporaryFolder(stack))), governs(cluster)),
    ).rejects.toMatchObject({
      code: 'TOKEN_INVALID',
    })
  })
})

describe('token', () => {
  const token = encodeToken({
    secret: new Uint8Array(32).fill(7),
    authority: new Uint8Array(32).fill(8),
    bootstrap: [address],
  })

  test('has one form', () => {
    expect(token).toMatchInlineSnapshot(
      `"shoal1:o2ZzZWNyZXRYIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHaWF1dGhvcml0eVggCAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAhpYm9vdHN0cmFwgXcvaXA0LzE5Mi4wLjIuMS90Y3AvNTAwMeu7y2I"`,
    )
    expect(parseToken(` ${token}\n`)).toEqual({
      secret: new Uint8Array(32).fill(7),
      authority: new Uint8Array(32).fill(8),
      bootstrap: [address],
    })
  })

  test.each([
    ['nothing', ''],
    ['another thing', 'hello'],
    ['a newer version', token.replace('shoal1:', 'shoal2:')],
    ['a cut one', token.slice(0, -1)],
    ['a longer one', `${token}A`],
    ['a changed one', token.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))],
    ['other characters', `${token.slice(0, 20)}+${token.slice(21)}`],
    ['an endless one', `shoal1:${'A'.repeat(100_000)}`],
    ['an empty body', 'shoal1:'],
  ])('refuses %s, without repeating it', (_what, text) => {
    let refusal: unknown
    try {
      parseToken(text)
    } catch (error) {
      refusal = error
    }
    expect(refusal).toMatchObject({ code: 'TOKEN_INVALID' })
    expect(String(refusal)).not.toContain(token.slice(8, 24))
  })

  test('survives every content, and no other string is one', () => {
    const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(
        bytes32,
        bytes32,
        fc.array(fc.constant(address), { maxLength: 16 }),
        (secret, authority, bootstrap) => {
          expect(parseToken(encodeToken({ secret, authority, bootstrap }))).toEqual({
            secret,
            authority,
            bootstrap,
          })
        },
      ),
    )
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom(...'AZaz09-_'), (at, character) => {
        fc.pre(token[at] !== character)
        expect(() => parseToken(token.slice(0, at) + character + token.slice(at + 1))).toThrow()
      }),
    )
  })
})

import { generateKeyPairSync } from 'node:crypto'
import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createVerifier, identityFromSeed, parsePeerId, peerIdOf, seal, unseal } from '../../src/wire/wire.ts'

const domain = 'shoal-test-v1\0'
const author = identityFromSeed(new Uint8Array(32).fill(1))
const body = Buffer.from('hello')

describe('an envelope', () => {
  it('has these bytes', () => {
    expect(Buffer.from(seal(domain, body, author)).toString('hex')).toMatchInlineSnapshot(
      `"8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c806cdca2ea7160bd4e37d4a14a75ac3f59ac9efecebf0a1bd40f12c2d1c292b025a10fca1cc7a3ce18e03281b323c249ba14085cec38178fefbfcab4c70fe80f68656c6c6f"`,
    )
  })

  it('is right for its author, body and domain alone', async () => {
    const sealed = seal(domain, body, author)
    await createVerifier(domain).verify(unseal(sealed))
    const wrong = { code: 'BAD_SIGNATURE' }
    await expect(createVerifier('shoal-other-v1\0').verify(unseal(sealed))).rejects.toMatchObject(wrong)
    for (let at = 0; at < sealed.length; at++) {
      const changed = sealed.slice()
      changed[at] = (changed[at] ?? 0) ^ 1
      await expect(createVerifier(domain).verify(unseal(changed))).rejects.toMatchObject(wrong)
    }
  })

  it('is refused, and nothing else happens, for an author that is no key', async () => {
    for (const key of ['ff'.repeat(32), `${'00'.repeat(31)}80`, '02'.padEnd(64, '0')]) {
      const forged = Buffer.concat([Buffer.from(key, 'hex'), Buffer.alloc(64), body])
      await expect(createVerifier(domain).verify(unseal(forged))).rejects.toMatchObject({
        code: 'BAD_SIGNATURE',
      })
    }
  })

  it('is not judged twice while it is remembered', async () => {
    const verifier = createVerifier(domain, { maxRemembered: 2 })
    const sealed = unseal(seal(domain, body, author))
    await verifier.verify(sealed)
    // With the hash as its name, the signature itself is not looked at again.
    await verifier.verify({ ...sealed, body: Buffer.from('other') })
    for (let n = 0; n < 5; n++) await verifier.verify(unseal(seal(domain, Buffer.from(`${n}`), author)))
    await expect(verifier.verify({ ...sealed, body: Buffer.from('other') })).rejects.toMatchObject({
      code: 'BAD_SIGNATURE',
    })
  })

  it.each([0, 32, 96])('of %i bytes is none', (length) => {
    expect(() => unseal(new Uint8Array(length))).toThrowError(expect.objectContaining({ code: 'MALFORMED' }))
  })
})

describe('a peer id', () => {
  it('is what libp2p makes of the same key', () => {
    for (let n = 0; n < 20; n++) {
      const { publicKey } = generateKeyPairSync('ed25519')
      const raw = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(12))
      expect(peerIdOf(raw)).toBe(peerIdFromPublicKey(publicKeyFromRaw(raw)).toString())
    }
  })

  it('is read back to the key', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
        expect([...parsePeerId(peerIdOf(key))]).toEqual([...key])
      }),
    )
  })

  it.each([
    '',
    'Qm',
    'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG',
    '1'.repeat(52),
    `${author.peerId}1`,
    author.peerId.slice(0, -1),
    author.peerId.replace('D', '0'),
  ])('is not "%s"', (text) => {
    expect(() => parsePeerId(text)).toThrowError(expect.objectContaining({ code: 'MALFORMED' }))
  })
})

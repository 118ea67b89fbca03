/** An Ed25519 key pair as what signs, and raw public keys as what verifies. */
import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { peerIdOf } from './peer-id.ts'

export interface Identity {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  readonly peerId: string
  /** 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array
}

const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const spki = Buffer.from('302a300506032b6570032100', 'hex')
const maxKeys = 1024
const keys = new Map<string, KeyObject>()

/** From the 32-byte seed of RFC 8032, the first half of a libp2p raw private key. */
export function identityFromSeed(seed: Uint8Array): Identity {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: 'der', type: 'pkcs8' })
  const publicKey = new Uint8Array(
    createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(spki.length),
  )
  return { publicKey, peerId: peerIdOf(publicKey), sign: (bytes) => sign(null, bytes, key) }
}

/** Importing a key costs half as much as a verification, so the recent ones are kept. */
export function publicKeyObject(publicKey: Uint8Array): KeyObject {
  const name = Buffer.from(publicKey).toString('latin1')
  const known = keys.get(name)
  if (known !== undefined) return known
  const key = createPublicKey({ key: Buffer.concat([spki, publicKey]), format: 'der', type: 'spki' })
  if (keys.size >= maxKeys) keys.clear()
  keys.set(name, key)
  return key
}

/** Ed25519 private keys as PEM text (PKCS #8), so that other tools can read them too. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { SwarmFileError } from '../errors.ts'

/** The 32 bytes of RFC 8032 that a key pair is made of. */
export type Seed = Uint8Array

export function createSeed(): Seed {
  return seedOf(generateKeyPairSync('ed25519').privateKey)
}

export function seedToPem(seed: Seed): string {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: 'der', type: 'pkcs8' })
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** `path` is for the message of the SwarmFileError that it throws. */
export function seedFromPem(pem: string, path: string): Seed {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (cause) {
    throw new SwarmFileError(path, 'does not hold a private key in PEM form', { cause })
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new SwarmFileError(
      path,
      `holds a key of type ${key.asymmetricKeyType ?? 'unknown'}; expected ed25519`,
    )
  }
  return seedOf(key)
}

const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex')

function seedOf(key: KeyObject): Seed {
  const der = key.export({ type: 'pkcs8', format: 'der' })
  return new Uint8Array(der.subarray(pkcs8.length, pkcs8.length + 32))
}

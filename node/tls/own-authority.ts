/**
 * The certificate authority of this node alone, for `--tls self`: kept, so that clients are told of it once while the server's
 * certificate is made anew as often as need be.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { readSecretFile, writeSecretFile } from '../../src/swarm/cluster/secret-file.ts'
import { SwarmFileError } from '../../src/swarm/errors.ts'
import { certificatePem, writeCertificate } from '../../src/wire/wire.ts'
import type { Settings } from '../settings/settings.ts'
import type { KeyPair } from './key-pair.ts'

export interface Authority {
  /** PEM; what clients are given. */
  readonly certificate: string
  readonly privateKey: KeyObject
}

/** The key first, then the certificate, in one file: they cannot get apart. */
const fileName = 'tls-authority'
/** Fixed, so that a host that does not know the time yet makes a valid one. A client that trusts it is told by hand. */
const [fromMs, untilMs] = [Date.UTC(2024, 0, 1), Date.UTC(2049, 11, 31)]

/** `undefined` where none was made. Throws SwarmFileError for a file that is damaged, or that others may read. */
export async function findOwnAuthority(directory: string): Promise<Authority | undefined> {
  const path = join(directory, fileName)
  const text = await readSecretFile(path)
  if (text === undefined) return undefined
  const authority = authorityFrom(text)
  if (authority !== undefined) return authority
  throw new SwarmFileError(
    path,
    'does not hold a key and its certificate; remove it, and a new authority is made, which clients have to be told of',
  )
}

/** From the file's text; `undefined` where it is none. */
export function authorityFrom(text: string): Authority | undefined {
  const [certificate] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(text) ?? []
  if (certificate === undefined) return undefined
  try {
    const privateKey = createPrivateKey(text)
    return new X509Certificate(certificate).checkPrivateKey(privateKey)
      ? { certificate, privateKey }
      : undefined
  } catch {
    // What a parser says may quote the key.
    return undefined
  }
}

/** What clients of a node with these settings have to trust, where that is its own. */
export async function authorityOf({
  tls,
  data,
}: Pick<Settings, 'tls' | 'data'>): Promise<{ authority?: string }> {
  const found = tls === undefined ? undefined : await findOwnAuthority(data)
  return found === undefined ? {} : { authority: found.certificate }
}

/** Reads it, or makes it on the first start. */
export async function openOwnAuthority(directory: string): Promise<Authority> {
  const known = await findOwnAuthority(directory)
  if (known !== undefined) return known
  const keys = newKey()
  const certificate = certificatePem(
    writeCertificate({ ...issuerOf(keys), issuer: issuerOf(keys), fromMs, untilMs, use: 'authority' }),
  )
  const key = keys.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  await writeSecretFile(join(directory, fileName), key + certificate)
  return { certificate, privateKey: keys.privateKey }
}

/** A server's key and certificate, with the authority's behind it. */
export function issue(
  { certificate, privateKey }: Authority,
  hosts: readonly string[],
  time: { fromMs: number; untilMs: number },
): KeyPair {
  const keys = newKey()
  const subject = new X509Certificate(certificate).subject.replace(/^CN=/, '')
  const issuer = { subject, publicKey: createPublicKey(privateKey), privateKey }
  const leaf = writeCertificate({
    subject: 'Shoal',
    publicKey: keys.publicKey,
    issuer,
    ...time,
    use: { hosts },
  })
  return {
    certificate: certificatePem(leaf) + certificate,
    key: keys.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  }
}

function newKey(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

function issuerOf(keys: { publicKey: KeyObject; privateKey: KeyObject }) {
  // Authorities of two hosts, and of one host before and after, have to be told apart by their names.
  const name = keys.publicKey.export({ format: 'der', type: 'spki' }).subarray(-4).toString('hex')
  return { subject: `Shoal ${hostname().slice(0, 40)} ${name}`, ...keys }
}

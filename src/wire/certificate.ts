/** X.509 certificates (RFC 5280) with a key of Ed25519 (RFC 8410) or P-256 (RFC 5758), written. OpenSSL reads them. */
import { hash, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { bits, der, integer, octets, oid, sequence, set, time, truth, utf8 } from './der.ts'

export interface CertificateContent {
  /** The common name. */
  subject: string
  publicKey: KeyObject
  /** Who vouches for it: for a self-signed one, itself. */
  issuer: { subject: string; publicKey: KeyObject; privateKey: KeyObject }
  fromMs: number
  untilMs: number
  /** What it may be used for: to sign certificates, or to be a server under these DNS names and IP addresses. Default anything. */
  use?: 'authority' | { hosts: readonly string[] }
}

/** In DER. */
export function writeCertificate(content: CertificateContent): Buffer {
  const { subject, publicKey, issuer, fromMs, untilMs } = content
  const algorithm = algorithmOf(issuer.privateKey)
  const extensions = extensionsOf(content)
  const body = sequence(
    der(0xa0, integer(2)),
    // Positive, and not longer than 20 bytes.
    integer(1, ...randomBytes(15)),
    algorithm,
    nameOf(issuer.subject),
    sequence(time(fromMs), time(untilMs)),
    nameOf(subject),
    publicKey.export({ format: 'der', type: 'spki' }),
    ...(extensions.length === 0 ? [] : [der(0xa3, sequence(...extensions))]),
  )
  const isEdwards = issuer.privateKey.asymmetricKeyType === 'ed25519'
  return sequence(body, algorithm, bits(sign(isEdwards ? null : 'sha256', body, issuer.privateKey)))
}

export function certificatePem(certificate: Uint8Array): string {
  const lines = Buffer.from(certificate)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}

function algorithmOf(key: KeyObject): Buffer {
  if (key.asymmetricKeyType === 'ed25519') return sequence(oid('1.3.101.112'))
  // ecdsa-with-SHA256
  if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return sequence(oid('1.2.840.10045.4.3.2'))
  throw new TypeError(`no signature of a certificate by a key of type ${key.asymmetricKeyType}`)
}

function nameOf(commonName: string): Buffer {
  return sequence(set(sequence(oid('2.5.4.3'), utf8(commonName))))
}

function extensionsOf({ use, publicKey, issuer }: CertificateContent): Buffer[] {
  if (use === undefined) return []
  const own = [
    extension('2.5.29.14', octets(keyIdOf(publicKey))),
    extension('2.5.29.35', sequence(der(0x80, keyIdOf(issuer.publicKey)))),
  ]
  if (use === 'authority') {
    // Basic constraints: an authority, of servers alone. Key usage: certificates and lists of revoked ones.
    return [
      critical('2.5.29.19', sequence(truth(), integer(0))),
      critical('2.5.29.15', bits(Buffer.of(0x06), 1)),
      ...own,
    ]
  }
  return [
    critical('2.5.29.19', sequence()),
    // Digital signature, for a server.
    critical('2.5.29.15', bits(Buffer.of(0x80), 7)),
    extension('2.5.29.37', sequence(oid('1.3.6.1.5.5.7.3.1'))),
    extension('2.5.29.17', sequence(...use.hosts.map(alternativeName))),
    ...own,
  ]
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(oid(id), octets(value))
}

function critical(id: string, value: Buffer): Buffer {
  return sequence(oid(id), truth(), octets(value))
}

function alternativeName(host: string): Buffer {
  return isIP(host) === 0 ? der(0x82, Buffer.from(host, 'latin1')) : der(0x87, addressBytes(host))
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number))
  // A URL writes IPv6 in hexadecimal groups alone, also where an IPv4 address is its end.
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = [], tail = []] = groups
    .split('::')
    .map((half) => half.split(':').filter((group) => group !== ''))
  const missing = groups.includes('::')
    ? Array.from({ length: 8 - head.length - tail.length }, () => '0')
    : []
  const hex = [...head, ...missing, ...tail].map((group) => group.padStart(4, '0'))
  return Buffer.from(hex.join(''), 'hex')
}

/** Any 20 bytes that tell keys apart would do (RFC 7093). */
function keyIdOf(key: KeyObject): Buffer {
  return hash('sha256', key.export({ format: 'der', type: 'spki' }), 'buffer').subarray(0, 20)
}

/**
 * A self-signed certificate made at start: X.509 (RFC 5280) with an Ed25519 key (RFC 8410), written in DER by hand.
 * Nobody checks its names or dates: each side knows the other's fingerprint from a stream that is proven already.
 */
import { generateKeyPairSync, hash, randomBytes, sign } from 'node:crypto'

export interface Certificate {
  /** PEM. */
  readonly certificate: string
  readonly key: string
  /** SHA-256 of the certificate in DER. */
  readonly fingerprint: Uint8Array
}

const tags = {
  integer: 0x02,
  bits: 0x03,
  oid: 0x06,
  utf8: 0x0c,
  sequence: 0x30,
  set: 0x31,
  utc: 0x17,
  general: 0x18,
}
/** 1.3.101.112 */
const ed25519 = der(tags.sequence, der(tags.oid, Buffer.from('2b6570', 'hex')))
/** 2.5.4.3 */
const commonName = der(tags.oid, Buffer.from('550403', 'hex'))
/** [0] explicit: the third version of the format. */
const version3 = der(0xa0, der(tags.integer, Buffer.of(2)))

export function createCertificate(): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const name = der(
    tags.sequence,
    der(tags.set, der(tags.sequence, commonName, der(tags.utf8, Buffer.from('shoal')))),
  )
  // Positive and not longer than 20 bytes.
  const serial = Buffer.concat([Buffer.of(1), randomBytes(15)])
  const always = der(
    tags.sequence,
    der(tags.utc, Buffer.from('000101000000Z')),
    der(tags.general, Buffer.from('99991231235959Z')),
  )
  const body = der(
    tags.sequence,
    version3,
    der(tags.integer, serial),
    ed25519,
    name,
    always,
    name,
    publicKey.export({ format: 'der', type: 'spki' }),
  )
  const signature = Buffer.concat([Buffer.of(0), sign(null, body, privateKey)])
  const whole = der(tags.sequence, body, ed25519, der(tags.bits, signature))
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${whole.toString('base64')}\n-----END CERTIFICATE-----\n`,
    key: String(privateKey.export({ format: 'pem', type: 'pkcs8' })),
    fingerprint: hash('sha256', whole, 'buffer'),
  }
}

function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content])
  if (length < 0x100) return Buffer.concat([Buffer.of(tag, 0x81, length), content])
  return Buffer.concat([Buffer.of(tag, 0x82, length >> 8, length & 0xff), content])
}

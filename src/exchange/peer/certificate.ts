/**
 * A self-signed certificate made at start. Nobody checks its names or dates: each side knows the other's fingerprint from a
 * stream that is proven already.
 */
import { generateKeyPairSync, hash } from 'node:crypto'
import { certificatePem, writeCertificate } from '../../wire/wire.ts'

export interface Certificate {
  /** PEM. */
  readonly certificate: string
  readonly key: string
  /** SHA-256 of the certificate in DER. */
  readonly fingerprint: Uint8Array
}

const always = { fromMs: Date.UTC(2000, 0, 1), untilMs: Date.UTC(9999, 11, 31, 23, 59, 59) }

export function createCertificate(): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const issuer = { subject: 'shoal', publicKey, privateKey }
  const whole = writeCertificate({ subject: 'shoal', publicKey, issuer, ...always })
  return {
    certificate: certificatePem(whole),
    key: String(privateKey.export({ format: 'pem', type: 'pkcs8' })),
    fingerprint: hash('sha256', whole, 'buffer'),
  }
}

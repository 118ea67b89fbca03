import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { certificatePem, writeCertificate } from '../../src/wire/wire.ts'

const keys = {
  ed25519: () => generateKeyPairSync('ed25519'),
  'P-256': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
}
const [fromMs, untilMs] = [Date.UTC(2026, 0, 2, 3, 4, 5), Date.UTC(2051, 5, 7, 8, 9, 10)]

describe('a certificate', () => {
  it.each(Object.entries(keys))(
    'with a key of %s is what OpenSSL reads, and proven by who issued it',
    (_name, make) => {
      const authority = make()
      const issuer = { subject: 'the authority', ...authority }
      const root = new X509Certificate(
        writeCertificate({ ...issuer, issuer, fromMs, untilMs, use: 'authority' }),
      )
      const server = keys['P-256']()
      const hosts = [
        'localhost',
        '*.apps.example',
        '192.0.2.7',
        '::1',
        '2001:db8::ff:0:1',
        '::ffff:192.0.2.9',
      ]
      const leaf = new X509Certificate(
        certificatePem(
          writeCertificate({
            subject: 'ß',
            publicKey: server.publicKey,
            issuer,
            fromMs,
            untilMs,
            use: { hosts },
          }),
        ),
      )
      expect(leaf.subject).toBe('CN=ß')
      expect(leaf.issuer).toBe('CN=the authority')
      expect(leaf.validFromDate.getTime()).toBe(fromMs)
      expect(leaf.validToDate.getTime()).toBe(untilMs)
      expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
      expect([leaf.ca, root.ca]).toEqual([false, true])
      expect(leaf.verify(authority.publicKey) && root.verify(authority.publicKey)).toBe(true)
      expect(leaf.checkIssued(root)).toBe(true)
      expect(
        leaf.checkPrivateKey(createPrivateKey(server.privateKey.export({ format: 'pem', type: 'pkcs8' }))),
      ).toBe(true)
      for (const address of hosts.slice(2)) expect(leaf.checkIP(address)).toBe(address)
      expect(leaf.checkHost('localhost')).toBe('localhost')
      expect(leaf.checkHost('a.apps.example')).toBe('*.apps.example')
      expect(leaf.checkHost('example')).toBeUndefined()
      expect(leaf.checkIP('192.0.2.8')).toBeUndefined()
    },
  )

  it('holds as many addresses as there are, each as it was', () => {
    const issuer = { subject: 'a', ...keys.ed25519() }
    const address = fc.oneof(fc.ipV4(), fc.ipV6())
    fc.assert(
      fc.property(fc.array(address, { maxLength: 200 }), (hosts) => {
        const read = new X509Certificate(
          writeCertificate({ ...issuer, issuer, fromMs, untilMs, use: { hosts } }),
        )
        for (const host of hosts) expect(read.checkIP(host)).toBe(host)
      }),
      { numRuns: 30 },
    )
  })

  it('is not signed by a key of another kind', () => {
    const issuer = { subject: 'a', ...generateKeyPairSync('ec', { namedCurve: 'P-384' }) }
    expect(() => writeCertificate({ ...issuer, issuer, fromMs, untilMs })).toThrow('key of type ec')
  })
})

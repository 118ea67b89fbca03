/** Self-signed certificates of tests, made by openssl. */
import path from 'node:path'
import { run } from './command.ts'

export interface CertificateFiles {
  /** Paths of PEM files. */
  certificate: string
  key: string
}

/** For hosts that are names or IPv4 addresses; it is its own authority. */
export async function makeCertificate(folder: string, hosts: string[]): Promise<CertificateFiles> {
  const files = { certificate: path.join(folder, 'certificate.pem'), key: path.join(folder, 'key.pem') }
  const names = hosts.map((host) => `${/^[\d.]+$/.test(host) ? 'IP' : 'DNS'}:${host}`)
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-days', '2'],
    ...['-subj', '/CN=test', '-addext', `subjectAltName=${names.join(',')}`],
    ...['-keyout', files.key, '-out', files.certificate],
  ])
  return files
}

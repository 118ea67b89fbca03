/** What no kind of value can see by itself: whether a setting fits the others, and this host. */

import type { Settings } from './table.ts'
import type { UpstreamSetting } from './upstream.ts'
import { UsageError } from './usage-error.ts'

/** A Unix socket's path has room for 107 bytes, and the node's lies in its data directory. */
const maxDataPathBytes = 90

export function checkDataPath(data: string): void {
  if (Buffer.byteLength(data) <= maxDataPathBytes) return
  throw new UsageError(
    `--data: ${data} is longer than the ${maxDataPathBytes} bytes that leave room for the socket in it; choose a shorter path`,
  )
}

export function checkUpstreamNames(upstreams: UpstreamSetting[]): void {
  const twice = upstreams.find(
    ({ name }, index) => upstreams.findIndex((other) => other.name === name) < index,
  )
  if (twice !== undefined) throw new UsageError(`--upstream: ${twice.name} is given twice`)
}

export function speaksTls({ tls, 'tls-cert': certificate }: Pick<Settings, 'tls' | 'tls-cert'>): boolean {
  return tls !== undefined || certificate !== undefined
}

type TlsSettings = Pick<Settings, 'tls' | 'tls-cert' | 'tls-key' | 'plain-loopback'>

export function checkTls(settings: TlsSettings): void {
  const { tls, 'tls-cert': certificate, 'tls-key': key, 'plain-loopback': plain } = settings
  if ((certificate === undefined) !== (key === undefined)) {
    const [given, lacking] = key === undefined ? ['--tls-cert', '--tls-key'] : ['--tls-key', '--tls-cert']
    throw new UsageError(`${given} is given without ${lacking}; TLS needs both, or --tls self alone`)
  }
  if (tls !== undefined && certificate !== undefined) {
    throw new UsageError(
      '--tls self and --tls-cert are both given; one of them says which certificate is meant',
    )
  }
  if (plain && tls === undefined && certificate === undefined) {
    throw new UsageError(
      '--plain-loopback is given without TLS, where everybody speaks plain HTTP; add --tls self, or --tls-cert and --tls-key',
    )
  }
}

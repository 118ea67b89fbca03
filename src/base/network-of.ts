/** Whom limits for strangers count as one. */
import { isIPv6 } from 'node:net'

/** Who is behind an IP address as far as limits go: of IPv6 a host has a whole /64, so that is one. */
export function networkOf(host: string): string {
  if (!isIPv6(host)) return host
  const [head = '', tail] = host.split('::')
  const [before, after] = [head, tail ?? ''].map((part) => part.split(':').filter((group) => group !== ''))
  const gap =
    tail === undefined ? [] : Array(Math.max(0, 8 - (before?.length ?? 0) - (after?.length ?? 0))).fill('0')
  return [...(before ?? []), ...gap, ...(after ?? [])].slice(0, 4).join(':')
}

/** Multiaddrs as this package needs them: from HOST:PORT, their parts, and which are worth announcing. */
import { isIP, isIPv4, isIPv6 } from 'node:net'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { MalformedError, parsePeerId } from '../../wire/wire.ts'
import { ListenError } from '../errors.ts'

export interface HostPort {
  /** An IP address; `0.0.0.0` or `::` for all. */
  host: string
  /** 0 lets the system choose. */
  port: number
}

/** Throws ListenError when the host is not an IP address. */
export function listenAddress({ host, port }: HostPort): string {
  if (isIP(host) === 0)
    throw new ListenError(`"${host}" is not an IP address to listen on; use 0.0.0.0 for all`)
  return `/ip${isIPv4(host) ? 4 : 6}/${host}/tcp/${port}`
}

const refusals: Record<string, string> = {
  EADDRINUSE: 'is in use by another process',
  EADDRNOTAVAIL: 'is no address of this host',
  EACCES: 'may not be listened on by this user',
}

/** Why libp2p does not listen: its own message is a page about its options, with the system's code inside. */
export function listenError({ host, port }: HostPort, cause: unknown): ListenError {
  const message = cause instanceof Error ? cause.message : String(cause)
  const [code = ''] = /\bE[A-Z]{4,}\b/.exec(message) ?? []
  const reason = refusals[code] ?? `cannot be listened on (${code || message})`
  return new ListenError(
    `the address for peers, ${host}:${port}, ${reason}; choose another with --p2p HOST:PORT`,
    { cause },
  )
}

/** The IP address or name in a multiaddr, or `undefined`. */
export function hostOf(address: Multiaddr): string | undefined {
  return address.getComponents().find(({ name }) => /^(?:ip[46]|dns[46]?)$/.test(name))?.value
}

/** The peer id that an address names last, or `undefined`. */
export function peerOf(address: Multiaddr): string | undefined {
  return address.getComponents().findLast(({ name }) => name === 'p2p')?.value
}

/** Where an address leads, without the peer id: `/ip4/192.0.2.1/tcp/5001`. */
export function transportPart(address: Multiaddr): string {
  const parts = address.getComponents().filter(({ name }) => name !== 'p2p')
  return parts.map(({ name, value }) => `/${name}${value === undefined ? '' : `/${value}`}`).join('')
}

/** Loopback and link-local addresses say nothing to others, so they are announced only by a node that has no others. */
export function worthAnnouncing(addresses: Multiaddr[]): Multiaddr[] {
  const routable = addresses.filter((address) => !isLocal(hostOf(address) ?? ''))
  return routable.length > 0 ? routable : addresses
}

export function parseMultiaddr(text: string): Multiaddr {
  return multiaddr(text)
}

function isLocal(host: string): boolean {
  if (isIPv4(host)) return host.startsWith('127.') || host.startsWith('169.254.')
  return isIPv6(host) && (host === '::1' || /^fe[89ab]/i.test(host))
}

/** Whether the text is the peer id of an Ed25519 key; libp2p knows more kinds, a cluster has no others. */
export function isPeerId(text: string): boolean {
  try {
    parsePeerId(text)
    return true
  } catch (error) {
    if (error instanceof MalformedError) return false
    throw error
  }
}

/** TLS on the registry's port as the settings say it, looked at again while the node runs. */
import { X509Certificate } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import {
  Background,
  type Clock,
  type Logger,
  type Metrics,
  noMetrics,
  steadyClock,
  wallClock,
} from '../../src/base/base.ts'
import { findHostNames } from '../host-names.ts'
import type { HttpPort } from '../http-port.ts'
import type { Settings } from '../settings/settings.ts'
import { type KeyPair, type KeyPairSource, ownPair, pairFromFiles } from './key-pair.ts'
import { openOwnAuthority } from './own-authority.ts'

type TlsSettings = Pick<Settings, 'data' | 'http' | 'tls' | 'tls-cert' | 'tls-key' | 'allow-host'>

/** Whoever renewed a certificate sees it used within this. */
const lookAgainMs = 10_000
const dayMs = 24 * 3600_000
/** Before the certificate's end. */
export const remindMs = 14 * dayMs
/** A table of hosts may be long, and a certificate is sent with each handshake. */
const maxHosts = 100

export interface NodeTlsOptions {
  port: Pick<HttpPort, 'secure'>
  logger: Logger
  metrics?: Metrics
  clock?: Clock
  wall?: Clock
  random?: () => number
}

export interface NodeTls extends AsyncDisposable {
  /** When the certificate in use ends, as wall time; `undefined` without TLS. */
  endMs(): number | undefined
}

/**
 * Gives the port its key and certificate, and each that comes after it; one that cannot be used is told of once, and the one
 * before stays. Throws KeyPairError where there is none to begin with. Does nothing where the settings ask for no TLS.
 */
export async function openNodeTls(
  settings: TlsSettings,
  {
    port,
    logger,
    metrics = noMetrics,
    clock = steadyClock,
    wall = wallClock,
    random = Math.random,
  }: NodeTlsOptions,
): Promise<NodeTls> {
  const tasks = new Background('TLS', logger)
  const source = await openSource(settings, wall)
  if (source === undefined)
    return { endMs: () => undefined, [Symbol.asyncDispose]: () => tasks[Symbol.asyncDispose]() }
  let endMs: number | undefined
  const remind = endReminder(wall, logger)
  const take = (pair: KeyPair): void => {
    port.secure(pair)
    endMs = endOf(pair)
    remind(endMs)
  }
  const first = await source.look()
  if (first !== undefined) take(first)
  metrics.gauge('shoal_tls_certificate_end_timestamp_seconds', () => (endMs ?? 0) / 1000)
  let told = ''
  tasks.every('TLS', lookAgainMs, { clock, random }, async () => {
    try {
      const next = await source.look()
      told = ''
      remind()
      if (next === undefined) return
      take(next)
      logger.info({}, 'TLS uses a new certificate')
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      if (reason === told) return
      told = reason
      logger.error({ reason }, 'the new TLS certificate or key cannot be used; the one before stays in use')
    }
  })
  return { endMs: () => endMs, [Symbol.asyncDispose]: () => tasks[Symbol.asyncDispose]() }
}

function endOf({ certificate }: KeyPair): number {
  return new X509Certificate(certificate).validToDate.getTime()
}

/** Says each day that the certificate in use is about to end, or has; called with its end when it changes. */
function endReminder(wall: Clock, logger: Logger): (endMs?: number) => void {
  let endMs = Number.POSITIVE_INFINITY
  let toldMs = Number.NEGATIVE_INFINITY
  return (nextEndMs) => {
    if (nextEndMs !== undefined) {
      endMs = nextEndMs
      toldMs = Number.NEGATIVE_INFINITY
    }
    const nowMs = wall.now()
    if (nowMs < endMs - remindMs || Math.abs(nowMs - toldMs) < dayMs) return
    toldMs = nowMs
    const ends = new Date(endMs).toISOString()
    logger.warn(
      { ends },
      'the TLS certificate ends soon, or has ended; replace the files of --tls-cert and --tls-key',
    )
  }
}

async function openSource(settings: TlsSettings, wall: Clock): Promise<KeyPairSource | undefined> {
  const { tls, 'tls-cert': certificate, 'tls-key': key, data } = settings
  if (certificate !== undefined && key !== undefined) return pairFromFiles(certificate, key)
  if (tls === undefined) return undefined
  return ownPair({
    authority: await openOwnAuthority(data),
    hosts: async () => tlsHosts(settings, await findHostNames(), ownAddresses()),
    clock: wall,
  })
}

function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  // One of a single link means nothing without the name of an interface, which differs from host to host.
  return all.flatMap(({ address, scopeid = 0 }) => (scopeid === 0 ? [address] : []))
}

/** By which clients on this host, in its containers and elsewhere reach the node; `*` is no name. */
export function tlsHosts(
  { http, 'allow-host': allowed }: Pick<Settings, 'http' | 'allow-host'>,
  names: readonly string[],
  addresses: readonly string[],
): string[] {
  const listened = http.host === '0.0.0.0' || http.host === '::' ? [] : [http.host]
  const everywhere = ['localhost', '127.0.0.1', '::1', 'host.docker.internal', 'host.containers.internal']
  const all = [...everywhere, ...listened, ...allowed, ...addresses, ...names]
  const written = all.map((host) => host.toLowerCase().replace(/\.$/, ''))
  return [...new Set(written)]
    .filter((host) => /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$|:/.test(host))
    .slice(0, maxHosts)
}

/** Who may connect: banned and refused peers may not, and an address that keeps failing the handshake costs little. */
import type { ConnectionGater, MultiaddrConnection } from '@libp2p/interface'
import { type Clock, type Logger, LogLimit, type Metrics, networkOf, WaitingRoom } from '../../base/base.ts'
import { hostOf, transportPart } from './addresses.ts'

export interface GaterOptions {
  clock: Clock
  logger: Logger
  metrics: Metrics
  /** Banned by policy, not approved, or refused for its conduct. */
  isUnwelcome(peer: string): boolean
  /** Whether a peer that is unwelcome is let in for a moment, to be told why; with the IP address it comes from. */
  isToBeTold(peer: string, from: string): boolean
  /** Whether the peer has refused this node, and is not to be dialled again yet. */
  isResting(peer: string): boolean
  /** This node's own addresses, as `transportPart` writes them. */
  ownAddresses(): Set<string>
}

/** An address may fail this many handshakes at once, and one more each second after that. */
const failureBurst = 20
const pending = { most: 128, mostOfOne: 32 }
const maxAddresses = 4096

interface Failures {
  tokens: number
  atMs: number
}

export function createGater(options: GaterOptions): ConnectionGater {
  const { clock, logger, metrics, isUnwelcome, isToBeTold, isResting, ownAddresses } = options
  /** Of addresses that failed a handshake lately. */
  const failures = new Map<string, Failures>()
  const newcomers = new WaitingRoom(pending)
  const limit = new LogLimit({ clock })
  /** What ends the handshake of a connection that succeeded. */
  const succeed = new WeakMap<MultiaddrConnection, () => void>()

  const tokensOf = (from: string): number => {
    const known = failures.get(from)
    if (known === undefined) return failureBurst
    return Math.min(failureBurst, known.tokens + Math.max(0, clock.now() - known.atMs) / 1000)
  }

  const failed = (from: string, address: string, ended: string): void => {
    metrics.count('shoal_swarm_handshakes_total', { result: 'failed' })
    const tokens = Math.max(0, tokensOf(from) - 1)
    // The one that failed last is the last to be forgotten.
    failures.delete(from)
    failures.set(from, { tokens, atMs: clock.now() })
    const [oldest] = failures.keys()
    if (failures.size > maxAddresses && oldest !== undefined) failures.delete(oldest)
    limit.line(from, (unsaid) => {
      logger.warn({ address, unsaid }, `a connection came to nothing: ${ended}`)
    })
  }

  return {
    denyInboundConnection(connection) {
      const address = hostOf(connection.remoteAddr) ?? 'unknown'
      const from = networkOf(address)
      if (tokensOf(from) < 1) {
        metrics.count('shoal_swarm_connections_refused_total', { reason: 'handshakes' })
        return true
      }
      let ended: string | undefined
      const leave = newcomers.enter(from, () => {
        ended = 'it had proven nothing yet when others came'
        connection.abort(new Error(ended))
      })
      let isOver = false
      succeed.set(connection, () => {
        isOver = true
        leave()
      })
      connection.addEventListener(
        'close',
        (event) => {
          leave()
          if (!isOver) failed(from, address, ended ?? endOf('error' in event ? event.error : undefined))
        },
        { once: true },
      )
      return false
    },
    denyInboundEncryptedConnection(peer, connection) {
      // Only a member gets here: the cluster's secret is part of the handshake.
      metrics.count('shoal_swarm_handshakes_total', { result: 'done' })
      succeed.get(connection)?.()
      return refuse(peer.toString(), connection)
    },
    denyOutboundEncryptedConnection: (peer, connection) => refuse(peer.toString(), connection),
    denyDialPeer: (peer) => isUnwelcome(peer.toString()) || isResting(peer.toString()),
    // Addresses of container bridges are the same on every host: there a node would only reach itself.
    denyDialMultiaddr: (address) => ownAddresses().has(transportPart(address)),
  }

  function refuse(peer: string, { remoteAddr }: MultiaddrConnection): boolean {
    if (!isUnwelcome(peer) || isToBeTold(peer, hostOf(remoteAddr) ?? 'unknown')) return false
    metrics.count('shoal_swarm_connections_refused_total', { reason: 'unwelcome' })
    return true
  }
}

/** How a handshake ended, as far as this side can know: who has another secret finds out first, and leaves. */
function endOf(error: unknown): string {
  if (error instanceof Error && /timeout|timed out/i.test(error.message)) {
    return 'the other side did not finish the handshake in time'
  }
  return (
    'the other side left before the handshake was over, as a node of another cluster does, ' +
    'one with the secret of before a rotation, one that stops, or who only looks whether the port answers, ' +
    'as a port scan or shoal doctor does'
  )
}

/** Who may connect: banned and refused peers may not, and an address that keeps failing the handshake costs little. */
import type { ConnectionGater, MultiaddrConnection } from '@libp2p/interface'
import type { Clock, Logger, Metrics } from '../base/base.ts'
import { hostOf, transportPart } from './addresses.ts'

export interface GaterOptions {
  clock: Clock
  logger: Logger
  metrics: Metrics
  /** Banned by policy, or refused for its conduct. */
  isUnwelcome(peer: string): boolean
  /** This node's own addresses, as `transportPart` writes them. */
  ownAddresses(): Set<string>
}

/** An address may fail this many handshakes at once, and one more each second after that. */
const failureBurst = 20
const maxPendingPerAddress = 32
const maxAddresses = 4096

interface AddressState {
  pending: number
  tokens: number
  atMs: number
  logged: boolean
}

export function createGater(options: GaterOptions): ConnectionGater {
  const { clock, logger, metrics, isUnwelcome, ownAddresses } = options
  const states = new Map<string, AddressState>()
  /** What ends the handshake of a connection, told whether it succeeded. */
  const handshakes = new WeakMap<MultiaddrConnection, (succeeded: boolean) => void>()

  const stateOf = (address: string): AddressState => {
    const known = states.get(address)
    if (known !== undefined) return known
    const idle = [...states].find(([, state]) => state.pending === 0)
    if (states.size >= maxAddresses && idle !== undefined) states.delete(idle[0])
    const state = { pending: 0, tokens: failureBurst, atMs: clock.now(), logged: false }
    states.set(address, state)
    return state
  }

  const refill = (state: AddressState): void => {
    const now = clock.now()
    state.tokens = Math.min(failureBurst, state.tokens + Math.max(0, now - state.atMs) / 1000)
    state.atMs = now
  }

  const failed = (address: string, state: AddressState): void => {
    metrics.count('shoal_swarm_handshakes_total', { result: 'failed' })
    refill(state)
    state.tokens = Math.max(0, state.tokens - 1)
    if (state.logged) return
    state.logged = true
    logger.warn({ address }, 'connections from an address fail the handshake: not a member of this cluster')
  }

  return {
    denyInboundConnection(connection) {
      const address = hostOf(connection.remoteAddr) ?? 'unknown'
      const state = stateOf(address)
      refill(state)
      if (state.tokens < 1 || state.pending >= maxPendingPerAddress) {
        metrics.count('shoal_swarm_connections_refused_total', { reason: 'handshakes' })
        return true
      }
      state.pending++
      let settled = false
      const settle = (succeeded: boolean): void => {
        if (settled) return
        settled = true
        state.pending--
        if (!succeeded) failed(address, state)
      }
      handshakes.set(connection, settle)
      connection.addEventListener('close', () => settle(false), { once: true })
      return false
    },
    denyInboundEncryptedConnection(peer, connection) {
      // Only a member gets here: the cluster's secret is part of the handshake.
      metrics.count('shoal_swarm_handshakes_total', { result: 'done' })
      handshakes.get(connection)?.(true)
      return refuse(peer.toString())
    },
    denyOutboundEncryptedConnection: (peer) => refuse(peer.toString()),
    denyDialPeer: (peer) => isUnwelcome(peer.toString()),
    // Addresses of container bridges are the same on every host: there a node would only reach itself.
    denyDialMultiaddr: (address) => ownAddresses().has(transportPart(address)),
  }

  function refuse(peer: string): boolean {
    if (!isUnwelcome(peer)) return false
    metrics.count('shoal_swarm_connections_refused_total', { reason: 'unwelcome' })
    return true
  }
}

/**
 * Who is a member as far as connections go: it shook hands with the cluster's secret, and nothing speaks against it. Whoever has
 * but an invitation is outside, and so is a guest; both are talked to (admission.ts) and given nothing.
 */
import type { Connection } from '@libp2p/interface'
import type { ClusterSecrets } from '../cluster/secrets.ts'

/** Of the cluster's secrets, each a rotation during the grace of another. */
const maxProtocols = 64

export interface Standing {
  /** Whether nothing is given on that connection. */
  isOutside(connection: Pick<Connection, 'encryption' | 'remotePeer'>): boolean
  /** Whether all connections of the peer were made by an invitation. */
  isInvited(peer: string): boolean
  /** Takes the cluster's secrets of now for such; to be called before a handshake is made with them. */
  refresh(): void
}

export interface StandingOptions {
  secrets: Pick<ClusterSecrets, 'isNewcomer' | 'names'>
  /** By the peer alone: banned, refused or a guest. */
  isUnserved(peer: string): boolean
  /** Protocols by which the peer's connections were secured. */
  protocolsOf(peer: string): string[]
}

export function createStanding({ secrets, isUnserved, protocolsOf }: StandingOptions): Standing {
  /** Those of before as well: a connection of a member goes on when the secret has ended. */
  const ofCluster = new Set<string>()
  const isInvitation = (protocol: string | undefined): boolean => !ofCluster.has(protocol ?? '')
  const refresh = (): void => {
    if (secrets.isNewcomer()) return
    for (const { protocol } of secrets.names()) {
      ofCluster.delete(protocol)
      ofCluster.add(protocol)
      const [oldest = ''] = ofCluster
      if (ofCluster.size > maxProtocols) ofCluster.delete(oldest)
    }
  }
  refresh()
  return {
    refresh,
    isOutside: ({ encryption, remotePeer }) => isInvitation(encryption) || isUnserved(remotePeer.toString()),
    isInvited(peer) {
      const protocols = protocolsOf(peer)
      return protocols.length > 0 && protocols.every(isInvitation)
    },
  }
}

/** The exchange of pieces over this node's store, swarm and links. */
import { type Logger, type Metrics, steadyClock } from '../../src/base/base.ts'
import {
  type Exchange,
  type ExchangeMembers,
  layoutOf,
  type OriginDelegation,
  openExchange,
  type PieceListStorage,
} from '../../src/exchange/exchange.ts'
import type { Digest } from '../../src/oci/oci.ts'
import type { Members, Swarm } from '../../src/swarm/swarm.ts'
import type { BytesTable, LocalNode } from '../local-node.ts'
import { givenManifests } from './given-manifests.ts'

export async function openBlobExchange(
  node: LocalNode,
  swarm: Swarm,
  { delegation, onRotten }: { delegation: OriginDelegation; onRotten(digest: Digest): void },
  logger: Logger,
  metrics: Metrics,
): Promise<Exchange> {
  const { store, settings } = node
  const manifests = givenManifests(store.manifests)
  return await openExchange({
    identity: node.membership.identity,
    host: swarm,
    blobs: store.blobs,
    manifests,
    partials: store.partials,
    pieceLists: pieceListStorage(node.pieceListTable),
    async hashPieces(digest, { from, to }) {
      const blob = await store.blobs.stat(digest)
      if (blob !== undefined) {
        const { pieceBytes } = layoutOf(blob.size)
        const end = Math.min(to * pieceBytes, blob.size)
        return await store.hashPieces(digest, { pieceBytes, start: from * pieceBytes, end })
      }
      const hashes = await manifests.hashPieces(digest)
      if (hashes === undefined) throw new Error(`${digest} is not here any more`)
      // No manifest is so large that it takes two turns.
      return hashes
    },
    providers: swarm.providers,
    members: settings.site === undefined ? swarm.members : withSites(swarm.members, settings.site),
    mayRead: (repository, digest) => store.links.has(repository, digest),
    delegation,
    blame: (peer, misconduct) => swarm.penalise(peer, misconduct === 'protocol' ? 'protocol' : 'wrong-bytes'),
    onRotten,
    // Any port will do: neighbours tell each other, and where firewalls close both their stream carries everything.
    direct: { host: settings.p2p.host, port: 0, addressesOf: (peer) => swarm.members.hostsOf(peer) },
    limits: {
      ...(node.budgets === undefined ? {} : { memoryBytes: node.budgets.exchangeBytes }),
      ...(settings['max-upload'] === 0 ? {} : { uploadBytesPerSecond: settings['max-upload'] }),
      ...(settings['max-download'] === 0 ? {} : { downloadBytesPerSecond: settings['max-download'] }),
    },
    clock: steadyClock,
    logger,
    metrics,
  })
}

/** Members of whom nobody knows where they are count as near. */
function withSites(members: Members, site: string): ExchangeMembers {
  return {
    peers: () => members.peers(),
    onChange: (listener) => members.onChange(listener),
    isFar: (peer) => (members.siteOf(peer) ?? site) !== site,
  }
}

function pieceListStorage(table: BytesTable): PieceListStorage {
  return {
    get: (digest) => table.get(digest),
    put: (digest, list) => table.put(digest, list),
    delete: (digest) => table.del(digest),
  }
}

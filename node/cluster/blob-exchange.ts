/** The exchange of pieces over this node's store, swarm and links. */
import { type Logger, type Metrics, steadyClock } from '../../src/base/base.ts'
import {
  type Exchange,
  layoutOf,
  type Outside,
  openExchange,
  type PieceListStorage,
} from '../../src/exchange/exchange.ts'
import type { Digest } from '../../src/oci/oci.ts'
import type { Swarm } from '../../src/swarm/swarm.ts'
import type { BytesTable, LocalNode } from '../local-node.ts'

export async function openBlobExchange(
  node: LocalNode,
  swarm: Swarm,
  outside: Outside,
  logger: Logger,
  metrics: Metrics,
): Promise<Exchange> {
  const { store, settings } = node
  const mending = new Set<Digest>()

  /** Moves a rotten blob away and brings it anew from the others. */
  async function mend(digest: Digest): Promise<void> {
    if (await store.verifyBlob(digest)) {
      // The disk gave other bytes once, and the right ones again: without a word it would never be served again.
      exchange.changed(digest)
      swarm.content.announce(digest)
      return
    }
    swarm.content.withdraw(digest)
    exchange.changed(digest)
    const repository = await store.links.anyRepository(digest)
    if (repository === undefined) return
    const healed = await exchange.fetch({ repository, digest })
    if (healed) logger.info({ digest }, 'a rotten blob was brought anew from other members')
    else logger.error({ digest }, 'a rotten blob is in quarantine, and no member holds another copy')
  }

  const exchange = await openExchange({
    identity: node.membership.identity,
    host: swarm,
    blobs: store.blobs,
    partials: store.partials,
    pieceLists: pieceListStorage(node.pieceListTable),
    async hashPieces(digest) {
      const blob = await store.blobs.stat(digest)
      if (blob === undefined) throw new Error(`${digest} is not here any more`)
      return await store.hashPieces(digest, layoutOf(blob.size).pieceBytes)
    },
    providers: swarm.content,
    members: swarm.members,
    mayRead: (repository, digest) => store.links.has(repository, digest),
    outside,
    blame: (peer, misconduct) => swarm.penalise(peer, misconduct === 'protocol' ? 'protocol' : 'wrong-bytes'),
    onRotten(digest) {
      if (mending.has(digest)) return
      mending.add(digest)
      mend(digest)
        .catch((error: unknown) => logger.error({ err: error, digest }, 'a rotten blob could not be mended'))
        .finally(() => mending.delete(digest))
    },
    // Any port will do: it is told on the channel, and where a firewall closes it the channel carries everything.
    lanes: { host: settings.p2p.host, port: 0, addressesOf: (peer) => swarm.members.hostsOf(peer) },
    limits: {
      ...(settings['max-upload'] === 0 ? {} : { uploadBytesPerSecond: settings['max-upload'] }),
      ...(settings['max-download'] === 0 ? {} : { downloadBytesPerSecond: settings['max-download'] }),
    },
    clock: steadyClock,
    logger,
    metrics,
  })
  return exchange
}

function pieceListStorage(table: BytesTable): PieceListStorage {
  return {
    get: (digest) => table.get(digest),
    put: (digest, list) => table.put(digest, list),
    delete: (digest) => table.del(digest),
  }
}

/** Who a node remembers as a member, from libp2p's peer store in its database. */
import { peerIdFromCID } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'

/** What is used of the sublevel with `keyEncoding: 'utf8'` that libp2p keeps its peers in. */
export interface PeerKeys {
  keys(options: { gt: string; lt: string; limit: number }): AsyncIterable<string>
}

const prefix = '/peers/'

/** Peer ids, this node's own among them. */
export async function rememberedPeers(database: PeerKeys, most: number): Promise<string[]> {
  const peers: string[] = []
  for await (const key of database.keys({ gt: prefix, lt: '/peers0', limit: most })) {
    peers.push(peerIdFromCID(CID.parse(key.slice(prefix.length))).toString())
  }
  return peers
}

/** Keeps no row of who only passed by: a name costs nothing to make, and a row of libp2p's peer store lasts a month. */
import { peerIdFromString } from '@libp2p/peer-id'
import { type Background, RecentMap } from '../../base/base.ts'
import type { Libp2pNode } from '../streams/libp2p-node.ts'

/** More than pass by while what libp2p writes of one of them is on its way. */
const mostLately = 256

type Options = {
  node: Pick<Libp2pNode, 'addEventListener' | 'peerStore'>
  tasks: Pick<Background, 'start'>
}

export class PassersBy {
  readonly #node: Options['node']
  readonly #lately = new RecentMap<string, true>(mostLately)

  constructor({ node, tasks }: Options) {
    this.#node = node
    node.addEventListener('peer:connect', ({ detail }) => this.#lately.delete(detail.toString()))
    // What libp2p learnt of it may be written after it was let go and its row is gone.
    node.addEventListener('peer:update', ({ detail }) => {
      const peer = detail.peer.id.toString()
      if (this.#lately.has(peer)) tasks.start('forget', async () => await this.#delete(peer))
    })
  }

  /** Of a peer whose connections were given up. */
  async forget(peer: string): Promise<void> {
    this.#lately.set(peer, true)
    await this.#delete(peer)
  }

  async #delete(peer: string): Promise<void> {
    await this.#node.peerStore.delete(peerIdFromString(peer))
  }
}

/**
 * Where others say that a member is. False addresses cost them nothing, so however many there are, what is told anew is tried: it
 * takes the place of what was tried in vain, and else of any other. What the member itself told stays.
 */
import type { Address, PeerId } from '@libp2p/interface'
import { Keyed } from '../../base/base.ts'
import { parseMultiaddr } from '../streams/addresses.ts'
import type { Libp2pNode } from '../streams/libp2p-node.ts'

/** What is kept of a member's addresses, its own among them. */
const maxAddresses = 16
/** However many it has told itself. */
const minTold = 4

type PeerStore = Pick<Libp2pNode['peerStore'], 'has' | 'get' | 'merge' | 'patch'>

export class ToldAddresses {
  readonly #store: PeerStore
  readonly #random: () => number
  readonly #turns = new Keyed()

  constructor(store: PeerStore, random: () => number) {
    this.#store = store
    this.#random = random
  }

  async of(id: PeerId): Promise<string[]> {
    return (await this.#known(id)).map(({ multiaddr }) => multiaddr.toString())
  }

  /** Adds what somebody told. `tried` are those at which the member was not found last. */
  async add(id: PeerId, addresses: string[], tried: ReadonlySet<string>): Promise<void> {
    await this.#turns.run(id.toString(), async () => {
      const known = await this.#known(id)
      const had = new Set(known.map(({ multiaddr }) => multiaddr.toString()))
      const told = addresses.map(parseMultiaddr).filter((address) => !had.has(address.toString()))
      const itsOwn = known.filter(({ isCertified }) => isCertified)
      const room = Math.max(minTold, maxAddresses - itsOwn.length)
      const fresh = told.slice(0, room)
      if (fresh.length === 0) return
      const others = known.filter(({ isCertified }) => !isCertified)
      const kept = this.#inOrderOfWorth(others, tried).slice(0, room - fresh.length)
      if (kept.length === others.length) {
        await this.#store.merge(id, { multiaddrs: fresh })
        return
      }
      const added = fresh.map((multiaddr) => ({ multiaddr, isCertified: false }))
      await this.#store.patch(id, { addresses: [...itsOwn, ...kept, ...added] })
    })
  }

  async #known(id: PeerId): Promise<Address[]> {
    return (await this.#store.has(id)) ? (await this.#store.get(id)).addresses : []
  }

  #inOrderOfWorth(addresses: Address[], tried: ReadonlySet<string>): Address[] {
    return addresses
      .map((address) => ({
        address,
        isTried: tried.has(address.multiaddr.toString()),
        rank: this.#random(),
      }))
      .sort((a, b) => Number(a.isTried) - Number(b.isTried) || a.rank - b.rank)
      .map(({ address }) => address)
  }
}

/** A DHT that looks for nobody by itself: when that is of use the swarm knows (dht/routing-table.ts). */
import { type KadDHT, type KadDHTInit, kadDHT } from '@libp2p/kad-dht'

type Components = Parameters<ReturnType<typeof kadDHT>>[0]

/** The longest that a timer takes. */
const neverMs = 2 ** 31 - 1

export function quietDht(init: KadDHTInit): (components: Components) => KadDHT {
  const open = kadDHT({ ...init, initialQuerySelfInterval: neverMs })
  return (components) => {
    const dht = open(components)
    // For what it refreshes every five minutes there is no option.
    const refresh: unknown = Reflect.get(dht, 'routingTableRefresh')
    if (typeof refresh !== 'object' || refresh === null || !('refreshTable' in refresh))
      throw new TypeError(
        'this @libp2p/kad-dht refreshes its routing table in another way than is stopped here',
      )
    refresh.refreshTable = () => undefined
    return dht
  }
}

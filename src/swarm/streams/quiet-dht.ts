/**
 * A DHT that looks for nobody by itself: when that is of use the swarm knows (dht/routing-table.ts). Nor does it mark whom it is near,
 * every five seconds, to be kept and dialled again: that is the dialer's to do.
 */
import { type KadDHT, type KadDHTInit, kadDHT } from '@libp2p/kad-dht'

type Components = Parameters<ReturnType<typeof kadDHT>>[0]

/** The longest that a timer takes. */
const neverMs = 2 ** 31 - 1

export function quietDht(init: KadDHTInit): (components: Components) => KadDHT {
  const open = kadDHT({ ...init, initialQuerySelfInterval: neverMs })
  return (components) => {
    const dht = open(components)
    // For what it refreshes every five minutes there is no option.
    replace(dht, ['routingTableRefresh'], 'refreshTable')
    replace(dht, ['routingTable', 'closestPeerTagger'], 'start')
    return dht
  }
}

/** Has the method of a part of the DHT do nothing. */
function replace(dht: KadDHT, path: string[], method: string): void {
  let part: unknown = dht
  for (const name of path) part = isObject(part) ? Reflect.get(part, name) : undefined
  if (!isObject(part) || !(method in part))
    throw new TypeError(
      `this @libp2p/kad-dht has no ${path.join('.')}.${method}, with which it works by itself`,
    )
  Reflect.set(part, method, () => undefined)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** What may go from this node to make room: the store is told whose its content is, the cluster what is not here any more. */
import { Background, type Logger } from '../src/base/base.ts'
import { isKept, type Keeper } from '../src/placement/placement.ts'
import type { Registry } from '../src/registry/registry.ts'
import type { EvictionRules } from '../src/store/store.ts'
import type { ClusterMember } from './cluster/cluster.ts'
import type { LocalNode } from './local-node.ts'

export interface NodeRoomOptions {
  node: Pick<LocalNode, 'store' | 'names' | 'keepRules' | 'isWhole' | 'pieceListTable'>
  registry: Pick<Registry, 'outside'>
  member: Pick<ClusterMember, 'elsewhere'>
  keeper: Pick<Keeper, 'isWanted'>
  /** Absent: no copy is more than is asked for. */
  isSurplus?: EvictionRules['isSurplus']
  logger: Logger
}

/** Until it is disposed of, room is made where it is needed. */
export function openNodeRoom(options: NodeRoomOptions): AsyncDisposable {
  const { node, registry, member, keeper, isSurplus, logger } = options
  const { store, names, keepRules } = node
  const background = new Background('the room', logger)
  const unsubscribe = store.room.onEvicted((digest) => {
    member.elsewhere.withdraw([digest])
    // Whoever finds its size in a list would promise bytes to a client before anybody is found who has them.
    background.start('forget the piece list of what went', () => node.pieceListTable.del(digest))
  })
  const unfollow = store.room.follow({
    isWhole: () => node.isWhole(),
    isWanted: (digest) => keeper.isWanted(digest),
    ...(isSurplus === undefined ? {} : { isSurplus }),
    async holdOf(repository, manifest) {
      if (manifest === undefined)
        return { belongs: (await registry.outside.canBringAgain(repository, manifest)) ? 'outside' : 'own' }
      const subject = (await names.findManifest(repository, manifest))?.subject
      const of = subject === undefined ? {} : { subject }
      if (await isKept(names, keepRules.list(), repository, manifest)) return { belongs: 'kept', ...of }
      const isOutside = await registry.outside.canBringAgain(repository, manifest)
      return { belongs: isOutside ? 'outside' : 'own', ...of }
    },
  })
  return {
    async [Symbol.asyncDispose]() {
      unfollow()
      unsubscribe()
      await background[Symbol.asyncDispose]()
    },
  }
}

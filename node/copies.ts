/** Copies at their owners, over this node's store, ledger and cluster. */
import {
  breather,
  type Logger,
  logFailure,
  type Metrics,
  steadyClock,
  unlessAborted,
} from '../src/base/base.ts'
import { upstreamOf } from '../src/oci/oci.ts'
import {
  Backlog,
  type Copies,
  isRequired,
  openCopies,
  politeSupply,
  Roster,
} from '../src/placement/placement.ts'
import type { Registry } from '../src/registry/registry.ts'
import type { EvictionRules } from '../src/store/store.ts'
import type { ClusterMember } from './cluster/cluster.ts'
import { answerCopies, copiesLimits, copiesProtocol, copyPeers } from './cluster/copies-channel.ts'
import { libraryOf, supplyOf } from './keep-sources.ts'
import type { LocalNode } from './local-node.ts'
import { firstRoom, offeredRoom } from './offered-room.ts'
import { asksPulls, type FindPulls } from './pull-inquiry.ts'

export interface NodeCopies extends Copies {
  /** Whether all who have to have the blob have it without this node. */
  isSurplus: Required<EvictionRules>['isSurplus']
  findPulls: FindPulls
  /** From now on this node offers no room, as it is about to go. */
  leave(): void
}

export interface NodeCopiesOptions {
  node: LocalNode
  registry: Registry
  member: Pick<ClusterMember, 'swarm' | 'exchange' | 'elsewhere' | 'through' | 'offerRoom'>
  logger: Logger
  metrics: Metrics
}

/** What a disk has room for changes slowly, and looking costs a walk. */
const measureMs = 10 * 60_000
const rosterKey = 'members'

export async function openNodeCopies({
  node,
  registry,
  member,
  logger,
  metrics,
}: NodeCopiesOptions): Promise<NodeCopies> {
  const { store, names } = node
  const { swarm, exchange, elsewhere } = member
  const clock = steadyClock
  const { site } = node.settings
  const self = swarm.peerId
  const closing = new AbortController()
  let room = await firstRoom(node)
  let isLeaving = false
  const offer = () => ({ peer: self, room: isLeaving ? 0 : room, ...(site === undefined ? {} : { site }) })
  const supply = supplyOf({ registry, store, elsewhere })
  const library = libraryOf(node)
  const polite = politeSupply({
    supply,
    coming: () => exchange.status().transfers.map(({ digest }) => digest),
    clock,
  })
  const peers = copyPeers(swarm)
  // Who was forgotten and is there all the same is there.
  const isGone = (peer: string): boolean =>
    names.isBanned(peer) ||
    (names.roster().entries.get(peer)?.goneMs !== undefined && !swarm.members.peers().includes(peer))
  const copies = openCopies({
    self,
    names,
    policy: () => names.policy(),
    roster: new Roster(offer(), (await node.rosterTable.get(rosterKey)) ?? [], clock.now()),
    backlog: await Backlog.open(node.debtTable, Math.random),
    library,
    supply,
    politeSupply: polite,
    isMirrored: (repository) => node.settings.upstream.some(({ name }) => name === upstreamOf(repository)),
    mayPush: (peer, repository) => names.permission(peer, repository) !== undefined,
    getReady(peer) {
      store.readyPieces()
      if (peer !== undefined) exchange.ready(peer)
    },
    cameOf(digest) {
      const { size = 0, held = 0, pieces = 1 } = exchange.observe(digest) ?? {}
      return Math.floor((size * held) / Math.max(1, pieces))
    },
    // Nor does who is asked for it ask others in turn.
    bringPart: (repository, digest, options) =>
      member.through.without(digest, async () => {
        if (await library.hasBlob(repository, digest)) return 0
        const manifest = await names.findManifest(repository, digest)
        if (manifest !== undefined)
          return (await supply.bringManifest(repository, digest, options)) && manifest.size
        if (!(await polite.bringBlob(repository, digest, options))) return undefined
        return (await store.blobs.stat(digest))?.size
      }),
    peers,
    wasPulled: (...asked) => node.pulls.wasPulled(...asked),
    parentsOf: (repository, digest) => store.manifests.referringTo(repository, digest),
    // What was written before it is in the same log, so it is synced with it.
    makeDurable: ({ repository, digest }) => store.links.add(repository, [digest], { durable: true }),
    async learn({ repository, digest }, { signal }) {
      await elsewhere.askForManifest(repository, digest, { signal })
    },
    ack: node.settings.ack,
    breathe: breather(),
    present: () => swarm.members.offers(),
    onPresent: (listener) => swarm.members.onOffer(listener),
    isGone,
    save: (rows) => node.rosterTable.put(rosterKey, rows),
    random: Math.random,
    clock,
    logger,
    metrics,
  })
  const tellRoom = (): void => {
    copies.offer(offer())
    member.offerRoom(offer().room)
  }
  await swarm.handle(copiesProtocol, copiesLimits, (channel, peer, options) =>
    answerCopies(channel, (...question) => copies.answer(peer, ...question), options),
  )
  tellRoom()
  const followed = [
    store.onQuarantined(() => copies.forget()),
    // What is believed to be whole is told to members that count copies, and not brought again.
    store.room.onEvicted(() => copies.forget()),
  ]
  const measuring = measureAgain()

  async function measureAgain(): Promise<void> {
    const { signal } = closing
    while (!signal.aborted) {
      try {
        const next = await unlessAborted(offeredRoom(node), signal)
        if (next !== room) {
          room = next
          tellRoom()
        }
      } catch (error) {
        if (!signal.aborted) logFailure(logger, error, 'the room that can be offered could not be measured')
      }
      // Only a node that stops ends it early.
      await clock.sleep(measureMs, { signal }).catch(() => undefined)
    }
  }

  const isAsked = (peer: string): boolean => !isGone(peer) && !names.isGuest(peer)
  return {
    ...copies,
    findPulls: asksPulls({
      pulls: node.pulls,
      peers: () => swarm.members.peers().filter(isAsked),
      missing: async () => (await swarm.members.missing()).map(({ peer }) => peer).filter(isAsked),
      ask: (...question) => peers.ask(...question),
      clock,
    }),
    async isSurplus(digest, budget) {
      // Of each manifest that lists it, in whichever repository, all who have to have that have it.
      let isListed = false
      for await (const repository of store.links.repositoriesOf(digest)) {
        for await (const manifest of store.manifests.referringTo(repository, digest)) {
          isListed = true
          const entry = await names.findManifest(repository, manifest)
          // Owners say that an image is whole without what may be missing.
          if (entry === undefined || !(await isRequired({ ...entry, repository }, digest, library)))
            return false
          const options = { budget, signal: closing.signal }
          if (!(await copies.mayLetGo({ repository, digest: manifest }, options))) return false
        }
      }
      return isListed
    },
    leave() {
      isLeaving = true
      tellRoom()
    },
    async [Symbol.asyncDispose]() {
      closing.abort(new Error('the node stops'))
      for (const unfollow of followed) unfollow()
      await measuring
      await copies[Symbol.asyncDispose]()
    },
  }
}

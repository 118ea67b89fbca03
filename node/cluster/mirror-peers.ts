/** The other members as the mirror sees them: who reaches an upstream, what they answer about it, and the swarm for its blobs. */
import { type Clock, Semaphore } from '../../src/base/base.ts'
import type { Exchange } from '../../src/exchange/exchange.ts'
import {
  answerOver,
  askOver,
  type MirrorPeers,
  mirrorLimits,
  mirrorProtocol,
  type OpenMirror,
} from '../../src/mirror/mirror.ts'
import type { MirrorWord } from '../../src/oci/oci.ts'
import { askedFor, type Ledger } from '../../src/records/records.ts'
import type { Elsewhere } from '../../src/registry/registry.ts'
import type { Store } from '../../src/store/store.ts'
import type { Swarm } from '../../src/swarm/swarm.ts'
import { ChannelPool } from './channel-pool.ts'

export interface LateMirrorPeers extends MirrorPeers {
  /** From now on the members are asked. */
  arrive(peers: Omit<MirrorPeers, 'self'>): void
}

export interface MirrorPeersOptions {
  swarm: Swarm
  names: Ledger
  links: Pick<Store['links'], 'add' | 'has'>
  elsewhere: Pick<Elsewhere, 'askForTag'>
  exchange: Pick<Exchange, 'fetchFromOrigin' | 'changed'>
  clock: Clock
}

/** Of all but blobs: fewer than a member answers at once. */
const maxQuestions = 96

/** Stands in for the members until they can be reached: what is here, and what this node reaches itself, is served before. */
export function lateMirrorPeers(self: string): LateMirrorPeers {
  let current: Omit<MirrorPeers, 'self'> | undefined
  const joined = (): Omit<MirrorPeers, 'self'> => {
    if (current === undefined) throw new Error('the node is still joining its cluster')
    return current
  }
  return {
    self,
    wordFor: (upstream, name) => current?.wordFor(upstream, name),
    reaching: (upstream, name) => current?.reaching(upstream, name) ?? [],
    ask: async (...question) => joined().ask(...question),
    accept: async (peer, records, keys) => current?.accept(peer, records, keys),
    askForTag: async (repository, tag) => current?.askForTag(repository, tag),
    fetchFromOrigin: async (...blob) => joined().fetchFromOrigin(...blob),
    arrive(peers) {
      current = peers
    },
  }
}

export function clusterMirrorPeers(options: MirrorPeersOptions): Omit<MirrorPeers, 'self'> {
  const { swarm, names, links, elsewhere, exchange, clock } = options
  const questions = new Semaphore(maxQuestions)
  const { maxFrameBytes } = mirrorLimits
  const pool = new ChannelPool((peer, { signal }) =>
    swarm.open(peer, mirrorProtocol, { maxFrameBytes, signal }),
  )
  return {
    wordFor: (upstream, name) => wordOfMembers(swarm, names, upstream, name),
    reaching: (upstream, name) =>
      swarm.members.reaching(upstream).filter((peer) => names.permission(peer, name) !== undefined),
    async ask(peer, question, { signal }) {
      using _turn = question.about === 'blob' ? undefined : await questions.acquire({ signal })
      return await pool.use(peer, (channel) => askOver(channel, question, { clock, signal }), { signal })
    },
    async accept(peer, records, keys) {
      const { blame } = await names.apply(records, { wanted: askedFor(keys, records) })
      if (blame !== undefined) swarm.penalise(peer, 'invalid-record')
    },
    askForTag: (repository, tag) => elsewhere.askForTag(repository, tag),
    async fetchFromOrigin(wanted, origin, how) {
      if (!(await exchange.fetchFromOrigin(wanted, origin, how))) return false
      const { repository, digest } = wanted
      // The upstream lets this repository have it, so this node does, too; who was told otherwise is told anew.
      const isTold = await links.has(repository, digest)
      await links.add(repository, [digest])
      if (!isTold) exchange.changed(digest)
      return true
    },
  }
}

/**
 * What the members that mirror an upstream make of a name that begins with its own. A mirrored tag is a record that they sign,
 * so those count whom the policy lets publish under that name; where no rule says who may, it is no more than a claim.
 */
function wordOfMembers(
  { members }: { members: Pick<Swarm['members'], 'mirroring'> },
  names: Pick<Ledger, 'permission'>,
  upstream: string,
  name: string,
): MirrorWord | undefined {
  const permissions = members.mirroring(upstream).map((peer) => names.permission(peer, name))
  if (permissions.includes('rule')) return 'rule'
  return permissions.includes('no rule') ? 'claim' : undefined
}

/** Answers the members' questions about upstreams. */
export async function serveMirror(
  swarm: Swarm,
  mirror: Pick<OpenMirror, 'answer'>,
  clock: Clock,
): Promise<void> {
  await swarm.handle(mirrorProtocol, mirrorLimits, (channel, _peer, { signal }) =>
    answerOver(channel, (question, options) => mirror.answer(question, options), { clock, signal }),
  )
}

/** The other members as the mirror sees them: who reaches an upstream, and what they answer about it. */
import { Semaphore } from '../../src/base/base.ts'
import { answerInquiries, inquire, type MirrorPeers, type OpenMirror } from '../../src/mirror/mirror.ts'
import type { MirrorWord } from '../../src/oci/oci.ts'
import { askedFor, type Ledger } from '../../src/records/records.ts'
import type { Elsewhere } from '../../src/registry/registry.ts'
import type { Swarm } from '../../src/swarm/swarm.ts'
import { ChannelPool } from './channel-pool.ts'
import {
  inquiryLimits,
  inquiryProtocol,
  referrerInquiryLimits,
  referrerInquiryProtocol,
} from './protocols.ts'

export interface LateMirrorPeers extends MirrorPeers {
  /** From now on the members are asked. */
  arrive(peers: Omit<MirrorPeers, 'self'>): void
}

/** Longer than a member waits for an upstream. */
const answerMs = 25_000
/** Fewer than a member answers at once. */
const maxQuestions = 96
const maxReferrerQuestions = 24

/** Stands in for the members until they can be reached: what is here, and what this node reaches itself, is served before. */
export function lateMirrorPeers(self: string): LateMirrorPeers {
  let current: Omit<MirrorPeers, 'self'> | undefined
  return {
    self,
    wordFor: (upstream, name) => current?.wordFor(upstream, name),
    reaching: (upstream, name) => current?.reaching(upstream, name) ?? [],
    async ask(peer, question) {
      if (current === undefined) throw new Error('the node is still joining its cluster')
      return current.ask(peer, question)
    },
    accept: async (peer, records, keys) => current?.accept(peer, records, keys),
    askForTag: async (repository, tag) => current?.askForTag(repository, tag),
    arrive(peers) {
      current = peers
    },
  }
}

/**
 * What the members that mirror an upstream make of a name that begins with its own. A mirrored tag is a record that they sign,
 * so those count whom the policy lets publish under that name; where no rule says who may, it is no more than a claim.
 */
export function wordOfMembers(
  { members }: { members: Pick<Swarm['members'], 'mirroring'> },
  names: Pick<Ledger, 'permission'>,
  upstream: string,
  name: string,
): MirrorWord | undefined {
  const permissions = members.mirroring(upstream).map((peer) => names.permission(peer, name))
  if (permissions.includes('rule')) return 'rule'
  return permissions.includes('no rule') ? 'claim' : undefined
}

export function clusterMirrorPeers(
  swarm: Swarm,
  names: Ledger,
  elsewhere: Pick<Elsewhere, 'askForTag'>,
): Omit<MirrorPeers, 'self'> {
  const askBy = (protocol: string, limits: { maxFrameBytes: number }, atOnce: number): MirrorPeers['ask'] => {
    const questions = new Semaphore(atOnce)
    const pool = new ChannelPool((peer, options) => swarm.open(peer, protocol, { ...limits, ...options }))
    return (peer, question) =>
      questions.run(async () => {
        const signal = AbortSignal.timeout(answerMs)
        return await pool.use(peer, (channel) => inquire(channel, question, { signal }), { signal })
      })
  }
  const ask = askBy(inquiryProtocol, inquiryLimits, maxQuestions)
  const askForReferrers = askBy(referrerInquiryProtocol, referrerInquiryLimits, maxReferrerQuestions)
  return {
    wordFor: (upstream, name) => wordOfMembers(swarm, names, upstream, name),
    reaching: (upstream, name) =>
      swarm.members.reaching(upstream).filter((peer) => names.permission(peer, name) !== undefined),
    ask: (peer, question) => (question.about === 'referrers' ? askForReferrers : ask)(peer, question),
    async accept(peer, records, keys) {
      const { blame } = await names.apply(records, { wanted: askedFor(keys, records) })
      if (blame !== undefined) swarm.penalise(peer, 'invalid-record')
    },
    async askForTag(repository, tag) {
      await elsewhere.askForTag(repository, tag)
    },
  }
}

/** Answers the members' questions about upstreams. */
export async function serveInquiries(swarm: Swarm, mirror: Pick<OpenMirror, 'answer'>): Promise<void> {
  for (const { protocol, limits } of [
    { protocol: inquiryProtocol, limits: inquiryLimits },
    { protocol: referrerInquiryProtocol, limits: referrerInquiryLimits },
  ]) {
    await swarm.handle(protocol, limits, (channel, _peer, options) =>
      answerInquiries(channel, (question) => mirror.answer(question), options),
    )
  }
}

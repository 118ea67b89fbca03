/** The other members as the mirror sees them: who reaches an upstream, and what they answer about it. */
import { Semaphore } from '../../src/base/base.ts'
import { answerInquiries, inquire, type MirrorPeers, type OpenMirror } from '../../src/mirror/mirror.ts'
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
    mirroring: (upstream) => current?.mirroring(upstream) ?? [],
    reaching: (upstream) => current?.reaching(upstream) ?? [],
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
 * The members whose word makes a name an upstream's here: those that the policy lets publish under that name, since that is what
 * a mirror does. So a rule for `acme.io/**` keeps everybody else from turning the cluster's own `acme.io/` into a mirror.
 */
export function believedMirrors(
  { members }: { members: Pick<Swarm['members'], 'mirroring'> },
  names: Pick<Ledger, 'mayPublish'>,
  upstream: string,
): string[] {
  return members.mirroring(upstream).filter((peer) => names.mayPublish(peer, `${upstream}/x`))
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
    mirroring: (upstream) => believedMirrors(swarm, names, upstream),
    reaching: (upstream) => swarm.members.reaching(upstream),
    ask: (peer, question) => (question.about === 'referrers' ? askForReferrers : ask)(peer, question),
    async accept(peer, records, keys) {
      const { blame } = await names.apply(records, { wanted: askedFor(keys, records) })
      if (blame !== undefined) swarm.penalise(peer, 'invalid-record')
    },
    askForTag: (repository, tag) => elsewhere.askForTag(repository, tag),
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

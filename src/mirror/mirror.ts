/**
 * Registries outside the cluster, served under their names: which tag is fresh, which member asks the upstream for all, and what
 * is served while the upstream is away.
 */
import { type Clock, type Logger, unlessAborted } from '../base/base.ts'
import type { Origin, OriginDelegation, Wanted } from '../exchange/exchange.ts'
import { OciError, type Repository, type Tag, upstreamOf } from '../oci/oci.ts'
import type { Ledger, RecordKey } from '../records/records.ts'
import type { Asked, Mirror } from '../registry/registry.ts'
import { type MemberWords, type Upstream, type Upstreams, wordFor } from '../upstream/upstream.ts'
import { BlobFetches, blobDelegation } from './blob-fetches.ts'
import { Checks } from './checks.ts'
import { Delegates } from './delegates.ts'
import { refusalOf } from './failures.ts'
import { Inquirer, type InquirerOptions } from './inquirer.ts'
import { absentMs } from './known-answers.ts'
import { type Answer, type ManifestQuestion, type Question, questionName } from './messages.ts'
import { ReferrersOfMirrored } from './mirrored-referrers.ts'
import { MirroredTags } from './mirrored-tags.ts'
import { openReaching, type Reaching } from './reaching.ts'
import { ReferrerLists } from './referrer-lists.ts'

export { answerOver, askOver } from './conversation.ts'
export { type Answer, mirrorLimits, mirrorProtocol, type Question } from './messages.ts'

/** The other members, as far as there are any. */
export interface MirrorPeers extends MemberWords {
  readonly self: string
  /** Those that reach the upstream and share what it gives, and may publish it as `name`; this node not among them. */
  reaching(upstream: string, name: string): string[]
  /** Rejects when it does not answer; aborting takes the question back. */
  ask(peer: string, question: Question, options: { signal: AbortSignal }): Promise<Answer>
  /** Takes the records of a peer's answer to a question about these keys into the ledger. */
  accept(peer: string, records: Uint8Array[], keys: RecordKey[]): Promise<void>
  /** Brings the record of a tag here, if a member has one. */
  askForTag(repository: Repository, tag: Tag): Promise<Asked>
  /** Has a blob come from its origin for all of them, and lets its repository read it here. As `Exchange.fetchFromOrigin`. */
  fetchFromOrigin(wanted: Wanted, origin: Origin, options: { signal: AbortSignal }): Promise<boolean>
}

export interface MirrorOptions extends Pick<InquirerOptions, 'holds' | 'keep'> {
  upstreams: Upstreams
  peers: MirrorPeers
  names: Ledger
  /** For how long a tag is served without asking. */
  ttlMs: number
  /** Whether a name without a registry may mean the first upstream's. */
  bareNames: boolean
  clock: Clock
  /** The time of day, for what records say of it. Default `clock`. */
  wall?: Clock
  logger: Logger
}

export interface OpenMirror extends Mirror {
  /**
   * For another member: asks the upstream, unless that is known to be needless or in vain. Throws the signal's reason when that
   * aborts, which ends the fetch of a blob, and of nothing that others may ask for next.
   */
  answer(question: Question, options: { signal: AbortSignal }): Promise<Answer>
  /** How the exchange has blobs fetched that no member holds. */
  readonly delegation: OriginDelegation
  readonly reaching: Reaching
}

export function openMirror(options: MirrorOptions): OpenMirror {
  const { upstreams, peers, names, ttlMs, clock, wall = options.clock } = options
  const checks = new Checks()
  const lists = new ReferrerLists()
  const brought = new Checks()
  const findUpstream = (repository: Repository): Upstream | undefined =>
    findShared(upstreamOf(repository) ?? '')
  const inquirer = new Inquirer({
    ...options,
    async keep(repository, manifest) {
      await options.keep(repository, manifest)
      brought.note(manifest.digest, { atMs: clock.now(), digest: manifest.digest })
    },
    checks,
    lists,
    wall,
    findUpstream,
  })
  const fetches = new BlobFetches({ findUpstream, fetchFromOrigin: peers.fetchFromOrigin.bind(peers) })
  const reaching = openReaching(upstreams, clock)
  const delegates = new Delegates({
    ...options,
    checks,
    lists,
    reaching,
    isShared: (name) => findShared(name) !== undefined,
    answer: (question) => inquirer.answer(question),
  })
  const askForTag = peers.askForTag.bind(peers)
  const tags = new MirroredTags({ names, delegates, checks, askForTag, ttlMs, clock, wall })
  const isMirrored = (name: Repository): boolean =>
    wordFor(upstreamOf(name) ?? '', name, upstreams, peers) !== undefined
  const referrers = new ReferrersOfMirrored({ names, delegates, lists, isMirrored, ttlMs, clock })
  const [first] = upstreams.all

  function findShared(name: string): Upstream | undefined {
    const upstream = upstreams.find(name)
    return upstream?.isShared === true ? upstream : undefined
  }

  return {
    fallback: options.bareNames && first?.isShared === true ? first.name : undefined,
    mirrored: upstreams.all.map(({ name }) => name),
    wordFor: (upstream, name) => wordFor(upstream, name, upstreams, peers),
    refusal(name) {
      const upstream = upstreams.find(name)
      if (upstream === undefined || upstream.isShared) return undefined
      return new OciError(
        'DENIED',
        `${name} is read with credentials, and its content is not for everyone who can reach this node; where it is, set "share": true for ${name} in the configuration`,
      )
    },
    resolveTag: (repository, tag, standing) => tags.resolve(repository, tag, standing),
    findReferrers: (repository, subject, wanted) => referrers.find(repository, subject, wanted),
    async bringManifest(repository, digest) {
      const question: ManifestQuestion = { about: 'manifest', repository, digest }
      const absentAtMs = checks.heardMs(questionName(question), undefined)
      if (absentAtMs !== undefined && clock.now() - absentAtMs < absentMs) return false
      const said = await delegates.askForMissing(question)
      if (said.answer === 'there' || said.answer === 'absent') return said.answer === 'there'
      throw refusalOf(question, said)
    },
    reaches(name) {
      const upstream = upstreamOf(name) ?? ''
      return reaching.names().includes(upstream) || peers.reaching(upstream, name).length > 0
    },
    broughtMs: (digest) => brought.heardMs(digest, digest),
    answer: (question, { signal }) =>
      question.about === 'blob'
        ? fetches.answer(question, { signal })
        : unlessAborted(inquirer.answer(question, { isForMember: true }), signal),
    delegation: blobDelegation({ upstreams, words: peers, delegates, fetches }),
    reaching,
  }
}

/** Which manifests refer to a mirrored one: heard lately, just asked, or what the cluster has seen where the upstream is away. */
import type { Clock } from '../base/base.ts'
import { type Digest, type Repository, upstreamOf } from '../oci/oci.ts'
import type { Names } from '../records/records.ts'
import type { MirroredReferrers } from '../registry/registry.ts'
import type { Delegates } from './delegates.ts'
import { refusalOf } from './failures.ts'
import { questionName, type ReferrersQuestion } from './messages.ts'
import type { HeardList, ReferrerLists } from './referrer-lists.ts'

interface MirroredReferrersOptions {
  names: Names
  delegates: Delegates
  lists: ReferrerLists
  isMirrored(repository: Repository): boolean
  ttlMs: number
  clock: Clock
}

/** How long what is here waits to be checked. */
const checkWithinMs = 1_000

export class ReferrersOfMirrored {
  readonly #options: MirroredReferrersOptions

  constructor(options: MirroredReferrersOptions) {
    this.#options = options
  }

  /** As `Mirror.findReferrers`. */
  async find(
    repository: Repository,
    subject: Digest,
    { maxAgeMs = this.#options.ttlMs }: { maxAgeMs?: number } = {},
  ): Promise<MirroredReferrers> {
    const { delegates, lists, names, clock } = this.#options
    const question: ReferrersQuestion = { about: 'referrers', repository, digest: subject, maxAgeMs }
    const heard = lists.find(questionName(question))
    if (heard !== undefined && clock.now() - heard.atMs < maxAgeMs) return { digests: heard.digests }
    const upstream = upstreamOf(repository) ?? ''
    if (heard === undefined) {
      if (!this.#options.isMirrored(repository)) return {}
      const answer = await delegates.askForMissing(question)
      if (answer.answer === 'listed') return { digests: answer.digests }
      // Of a manifest that is here its referrers may be, too: a keep rule has brought them, or an archive.
      if ((await names.findManifest(repository, subject)) === undefined) throw refusalOf(question, answer)
      return { stale: { upstream, asked: true } }
    }
    const breaker = delegates.breakerOf(upstream)
    if (breaker.failure !== undefined) {
      if (breaker.mayAsk()) delegates.askBehind(question)
      return staleList(upstream, heard, false)
    }
    const answer = await delegates.askWithin(checkWithinMs, question)
    return answer.answer === 'listed' ? { digests: answer.digests } : staleList(upstream, heard, true)
  }
}

function staleList(upstream: string, { atMs, digests }: HeardList, asked: boolean): MirroredReferrers {
  return { digests, stale: { upstream, checkedMs: atMs, asked } }
}

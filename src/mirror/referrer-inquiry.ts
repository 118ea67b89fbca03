/**
 * Asks an upstream which manifests refer to another, and fetches those that the cluster does not know: only a manifest's bytes
 * prove what it refers to. Each is published as a record of its own, as if it had been pushed.
 */
import { CodedError, type Logger, Semaphore } from '../base/base.ts'
import {
  type Digest,
  manifestFacts,
  OciError,
  parseManifest,
  type Repository,
  withoutUpstream,
} from '../oci/oci.ts'
import type { Ledger } from '../records/records.ts'
import { type Upstream, type UpstreamManifest, UpstreamUnavailableError } from '../upstream/upstream.ts'
import { maxListedRecordBytes, maxReferrers, type ReferrersQuestion } from './messages.ts'

export interface ReferrerInquiryOptions {
  names: Ledger
  keep(repository: Repository, manifest: UpstreamManifest): Promise<void>
  logger: Logger
}

interface AskOptions {
  signal: AbortSignal
  /** The upstream has answered; what follows may take longer. */
  onHeard(): void
}

export interface Listed {
  /** In byte order, the records of all of them here. */
  digests: Digest[]
  /** False when there may be more, which the upstream did not give just now. */
  isWhole: boolean
}

const fetchedAtOnce = 8
/** Of manifests fetched for one question; the next question goes on from there. */
const maxFetchedBytes = 32 * 1024 * 1024

export class ReferrerInquiry {
  readonly #options: ReferrerInquiryOptions

  constructor(options: ReferrerInquiryOptions) {
    this.#options = options
  }

  /** Throws what the upstream and the ledger throw. */
  async ask(upstream: Upstream, question: ReferrersQuestion, options: AskOptions): Promise<Listed> {
    const { repository, digest: subject } = question
    const { signal, onHeard } = options
    const said = await upstream.listReferrers(withoutUpstream(repository), subject, { signal })
    onHeard()
    const failed = new AbortController()
    const either = AbortSignal.any([signal, failed.signal])
    const bringing = { upstream, question, signal: either, fetchedBytes: 0, isWhole: true }
    const turns = new Semaphore(fetchedAtOnce)
    const listed = await Promise.allSettled(
      said.slice(0, maxReferrers).map((digest) =>
        turns
          .run(() => this.#bring(digest, bringing))
          .catch((error: unknown) => {
            failed.abort(error)
            throw error
          }),
      ),
    )
    failed.signal.throwIfAborted()
    const found = listed.flatMap((one) => (one.status === 'fulfilled' && one.value ? [one.value] : []))
    const digests = this.#thatFit(repository, found.sort())
    if (said.length > maxReferrers || digests.length < found.length) {
      this.#options.logger.warn(
        { repository, subject, listed: said.length, taken: digests.length },
        'an upstream lists more referrers of a manifest than are mirrored',
      )
    }
    return { digests, isWhole: bringing.isWhole }
  }

  /** `undefined` for what does not refer to the subject, whatever the upstream's list says, or cannot be mirrored. */
  async #bring(digest: Digest, bringing: Bringing): Promise<Digest | undefined> {
    const { upstream, signal, question } = bringing
    const { repository, digest: subject } = question
    const { names, keep } = this.#options
    signal.throwIfAborted()
    try {
      const known = await names.findManifest(repository, digest)
      if (known !== undefined) return known.subject === subject ? digest : undefined
      if (bringing.fetchedBytes > maxFetchedBytes) {
        bringing.isWhole = false
        return this.#leaveOut(digest, question, 'the others were large, it is for the next time')
      }
      const manifest = await upstream.getManifest(withoutUpstream(repository), { digest }, { signal })
      if (manifest === undefined) return this.#leaveOut(digest, question, 'the upstream does not have it')
      bringing.fetchedBytes += manifest.bytes.length
      const value = manifestFacts(parseManifest(manifest.bytes, manifest.mediaType), manifest.bytes.length)
      if (value.subject !== subject)
        return this.#leaveOut(digest, question, 'its subject is another manifest')
      await keep(repository, manifest)
      await names.publish([{ kind: 'manifest', repository, digest, value }])
      return digest
    } catch (error) {
      if (!isItsOwnFault(error)) throw error
      if (error instanceof UpstreamUnavailableError) bringing.isWhole = false
      return this.#leaveOut(digest, question, error.message)
    }
  }

  #leaveOut(digest: Digest, { repository, digest: subject }: ReferrersQuestion, reason: string): undefined {
    this.#options.logger.info({ repository, subject, digest, reason }, 'a referrer was not mirrored')
  }

  /** As many as one answer has room for. */
  #thatFit(repository: Repository, digests: Digest[]): Digest[] {
    let bytes = 0
    return digests.filter((digest) => {
      bytes += this.#options.names.findRecord({ kind: 'manifest', repository, digest })?.length ?? 0
      return bytes <= maxListedRecordBytes
    })
  }
}

interface Bringing {
  upstream: Upstream
  question: ReferrersQuestion
  signal: AbortSignal
  fetchedBytes: number
  isWhole: boolean
}

/** Whether it is this one manifest that cannot be mirrored, so that the others can. */
function isItsOwnFault(error: unknown): error is CodedError {
  if (error instanceof UpstreamUnavailableError) return error.trouble === 'wrong'
  if (error instanceof OciError) return true
  return error instanceof CodedError && (error.code === 'RECORD_TOO_LARGE' || error.code === 'MALFORMED')
}

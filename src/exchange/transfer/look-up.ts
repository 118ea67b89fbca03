/**
 * What members hold, asked of them without a transfer: whether any holds a blob, who has it whole, and content that is small enough to be
 * proven at once, such as a manifest. Nothing of it is kept.
 */
import { firstOf, Keyed, SingleFlight, unlessAborted, untilOrAfter } from '../../base/base.ts'
import { algorithmOf, digestBytes } from '../../oci/oci.ts'
import type { Faults } from '../peer/faults.ts'
import type { Wanted } from '../protocol/wanted.ts'
import { Inquiry, type InquiryOptions } from './inquiry.ts'

export interface LookUpOptions extends InquiryOptions {
  faults: Pick<Faults, 'add'>
  /** Aborts when the exchange closes. */
  stop: AbortSignal
}

export interface ReadOptions {
  /** What claims to be larger is not asked for. */
  maxBytes: number
  /** A member that most likely has it: asked alone first, when it is connected. */
  likely?: string | undefined
  signal: AbortSignal
}

/** A push asks of each layer whether anybody has it: of many members, the DHT knows who. */
const mostAsked = 32
/** One that takes longer is not waited for alone, and so many are asked at once. */
const besideMs = 400
const maxAtOnce = 8
/** All members together may delay a "nobody has it" by this, however many of them begin to give and do not go on. */
const readMs = 30_000

interface Small {
  bytes: Uint8Array
  peer: string
}

export class LookUp {
  readonly #options: LookUpOptions
  readonly #reading = new SingleFlight<Small | undefined>()
  readonly #turns = new Keyed()

  constructor(options: LookUpOptions) {
    this.#options = options
  }

  /** Whether a member holds any of it for the repository, or says so: that is about who may read it, and tells nothing of its bytes. */
  async isHeldFor(wanted: Wanted, { signal }: { signal: AbortSignal }): Promise<boolean> {
    const options = { ...this.#options, connected: mostAsked, isEnough: () => true }
    using inquiry = new Inquiry(wanted, options, signal)
    for await (const _ of inquiry.holders()) return true
    return false
  }

  /** Peer ids of members that say within that time that they hold all of it, in their order. */
  async seeders(
    wanted: Wanted,
    { withinMs, signal }: { withinMs: number; signal: AbortSignal },
  ): Promise<string[]> {
    using inquiry = new Inquiry(wanted, this.#options, signal)
    const found: string[] = []
    const ask = async (): Promise<void> => {
      for await (const { peer } of inquiry.holders()) found.push(peer)
    }
    await untilOrAfter(ask(), withinMs, { clock: this.#options.clock, signal })
    return found.toSorted()
  }

  /** The bytes, which hash to the digest; `undefined` when no member gives them. A member that gives others is blamed. */
  async read(wanted: Wanted, { signal, ...options }: ReadOptions): Promise<Small | undefined> {
    const { repository, digest } = wanted
    // A member sends a piece once, whoever asks for it here: those who ask at once share it, or take turns.
    const reading = this.#reading.run(`${repository}@${digest}`, () =>
      this.#turns.run(digest, () => this.#read(wanted, options)),
    )
    return await unlessAborted(reading, signal)
  }

  async #read(wanted: Wanted, { maxBytes, likely }: Omit<ReadOptions, 'signal'>): Promise<Small | undefined> {
    const { clock, faults, stop } = this.#options
    using inquiry = new Inquiry(wanted, this.#options, stop)
    let found: Small | undefined
    const reading = firstOf(inquiry.holders({ likely, isThorough: true }), {
      deliver: async (question) => {
        const bytes = await question.fetch(maxBytes)
        if (bytes === undefined) return undefined
        const { peer } = question
        if (digestBytes(bytes, algorithmOf(wanted.digest)) === wanted.digest) return { bytes, peer }
        faults.add(peer, 'wrong-bytes', { digest: wanted.digest })
        return undefined
      },
      discard: () => undefined,
      besideMs,
      most: maxAtOnce,
      clock,
    })
    const isRead = reading.then((small) => {
      found = small
    })
    await untilOrAfter(isRead, readMs, { clock, signal: stop })
    return found
  }
}

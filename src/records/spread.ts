/** New records told to everyone at once: what gossip must do for a ledger, and the glue between the two. */
import { FairBudget, type Logger, silentLogger } from '../base/base.ts'
import { bytes, codec, list, MalformedError } from '../wire/wire.ts'
import type { Ledger } from './ledger-contract.ts'
import { maxRecordBytes } from './record.ts'

/** Whether a message is handed on, dropped, or dropped and held against the peer that sent it. */
export type Verdict = 'accept' | 'ignore' | 'reject'

/** Gossip. Messages may be lost, doubled and reordered; reconciliation repairs that. */
export interface Spread {
  publish(message: Uint8Array): Promise<void>
  /** `from` is the peer that handed the message on. Returns the unsubscriber. */
  onMessage(handler: (message: Uint8Array, from: string) => Promise<Verdict>): () => void
}

export const maxSpreadBytes = 256 * 1024
const maxRecords = 1024
/** More than this is not told but left to reconciliation: so many at once are no news but an import. */
const maxQueuedBytes = 8 * 1024 * 1024

const messageCodec = codec(list(bytes({ max: maxRecordBytes }), { max: maxRecords }), {
  maxBytes: maxSpreadBytes,
})

/**
 * Records that are judged, from all peers together; what takes longer to read counts more. Beyond that a message is dropped
 * unread, and reconciliation brings what was in it.
 */
const judged = { burst: 65_536, perSecond: 2_000 }
const bytesPerRecord = 512

export interface SpreadOptions {
  ledger: Ledger
  spread: Spread
  /** Milliseconds from any start, never going back. Default `performance.now`. */
  now?: () => number
  logger?: Logger
}

/** Tells what this node signs, and applies what it is told, until it is disposed of. */
export function spreadRecords(options: SpreadOptions): AsyncDisposable {
  const { ledger, spread, now = () => performance.now(), logger = silentLogger } = options
  const outbox = new Outbox(spread, logger)
  const budget = new FairBudget({ ...judged, now })
  const beingJudged = new Set<Promise<Verdict>>()
  const stops = [
    ledger.onRecords((records, { own }) => {
      if (own) outbox.add(records)
    }),
    spread.onMessage(async (message, from) => {
      if (!budget.has(from)) return 'ignore'
      const records = unpack(message)
      budget.take(from, (records?.length ?? 0) + Math.ceil(message.length / bytesPerRecord))
      if (records === undefined) return 'reject'
      const judging = judge(ledger, records)
      beingJudged.add(judging)
      return await judging.finally(() => beingJudged.delete(judging))
    }),
  ]
  return {
    async [Symbol.asyncDispose]() {
      for (const stop of stops) stop()
      // What is being stored needs the ledger.
      await Promise.allSettled(beingJudged)
      await outbox.idle()
    },
  }
}

function unpack(message: Uint8Array): Uint8Array[] | undefined {
  try {
    return messageCodec.decode(message)
  } catch (error) {
    if (error instanceof MalformedError) return undefined
    throw error
  }
}

/** Rejects only what is wrong in itself: every node finds it so, and no honest one has passed it on. */
async function judge(ledger: Ledger, records: Uint8Array[]): Promise<Verdict> {
  const { applied, delayedBytes, blame } = await ledger.apply(records)
  if (blame !== undefined) return 'reject'
  // What has to wait here is not carried on beside what has not: a flood would ride on each new record.
  return applied > 0 && delayedBytes === 0 ? 'accept' : 'ignore'
}

/** Packs records into messages, one message on its way at a time. */
class Outbox {
  readonly #spread: Spread
  readonly #logger: Logger
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #sending: Promise<void> | undefined

  constructor(spread: Spread, logger: Logger) {
    this.#spread = spread
    this.#logger = logger
  }

  add(records: Uint8Array[]): void {
    for (const record of records) {
      if (this.#queuedBytes > maxQueuedBytes) return
      this.#queue.push(record)
      this.#queuedBytes += record.length
    }
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined
    })
  }

  async idle(): Promise<void> {
    await this.#sending
  }

  async #send(): Promise<void> {
    while (this.#queue.length > 0) {
      try {
        await this.#spread.publish(this.#pack())
      } catch (error) {
        this.#logger.warn({ err: error }, 'records were not spread; reconciliation will bring them')
      }
    }
  }

  #pack(): Uint8Array {
    let count = 0
    let size = envelopeBytes
    for (const record of this.#queue) {
      if (count === maxRecords || size + record.length + envelopeBytes > maxSpreadBytes) break
      size += record.length + envelopeBytes
      count++
    }
    const packed = this.#queue.slice(0, count)
    this.#queue = this.#queue.slice(count)
    this.#queuedBytes -= packed.reduce((sum, record) => sum + record.length, 0)
    return messageCodec.encode(packed)
  }
}

/** The most that CBOR puts before a list or a byte string of these sizes. */
const envelopeBytes = 5

/** New records told to everyone at once: what gossip must do for a ledger, and the glue between the two. */
import { type Logger, silentLogger } from '../base/base.ts'
import { bytes, codec, list, MalformedError } from '../wire/wire.ts'
import type { Ledger } from './ledger.ts'
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

/** A peer may hand on so many records that change nothing, and so many more each second. */
const allowance = 2000
const allowancePerSecond = 50
const maxPeers = 10_000

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
  const useless = new Allowance(now)
  const stops = [
    ledger.onRecords((records, { own }) => {
      if (own) outbox.add(records)
    }),
    spread.onMessage(async (message, from) => {
      if (useless.isSpent(from)) return 'reject'
      const verdict = await judge(ledger, message)
      useless.spend(from, verdict.useless)
      return verdict.verdict
    }),
  ]
  return {
    async [Symbol.asyncDispose]() {
      for (const stop of stops) stop()
      await outbox.idle()
    },
  }
}

async function judge(ledger: Ledger, message: Uint8Array): Promise<{ verdict: Verdict; useless: number }> {
  let records: Uint8Array[]
  try {
    records = messageCodec.decode(message)
  } catch (error) {
    if (error instanceof MalformedError) return { verdict: 'reject', useless: 0 }
    throw error
  }
  const { applied, blame } = await ledger.apply(records)
  const useless = records.length - applied
  if (blame !== undefined) return { verdict: 'reject', useless }
  return { verdict: applied > 0 ? 'accept' : 'ignore', useless }
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

/** Counts what each peer handed on for nothing. */
class Allowance {
  readonly #now: () => number
  readonly #peers = new Map<string, { left: number; at: number }>()

  constructor(now: () => number) {
    this.#now = now
  }

  isSpent(peer: string): boolean {
    return this.#refill(peer).left <= 0
  }

  spend(peer: string, count: number): void {
    this.#refill(peer).left -= count
  }

  #refill(peer: string): { left: number; at: number } {
    const at = this.#now()
    const known = this.#peers.get(peer)
    if (known === undefined && this.#peers.size >= maxPeers) this.#peers.clear()
    const earned =
      known === undefined ? allowance : known.left + ((at - known.at) / 1000) * allowancePerSecond
    const purse = { left: Math.min(allowance, earned), at }
    this.#peers.set(peer, purse)
    return purse
  }
}

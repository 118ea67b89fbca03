/** One side of a reconciliation: messages over a channel, counted and bounded, and the records that they carry. */
import { hash } from 'node:crypto'
import { type Clock, wallClock } from '../base/base.ts'
import { type Channel, ChannelBrokenError, MalformedError } from '../wire/wire.ts'
import { PeerMisbehavedError } from './errors.ts'
import type { Fingerprints } from './fingerprints.ts'
import type { ApplyReport } from './inflow.ts'
import type { Ledger } from './ledger-contract.ts'
import type { Positions } from './positions.ts'
import type { ReconcileOptions, ReconcileReport } from './reconcile.ts'
import { type Message, type MessageOf, messages } from './reconcile-messages.ts'

const version = 1
/** Records are gathered to about so many bytes a message. */
const batchBytes = 128 * 1024
const batchRecords = 1024
const maxTurns = 10_000
const slackRecords = 1024
/** A turn may turn out to be empty, as when what was wanted has gone since. */
const maxEmptyTurns = 8
const maxDelayedBytes = 4 * 1024 * 1024

export interface OwnPolicy {
  hash: Uint8Array
  record: Uint8Array | undefined
}

export class Conversation {
  readonly positions: Positions
  readonly fingerprints: Fingerprints
  readonly #ledger: Ledger
  readonly #channel: Channel
  readonly #clock: Clock
  readonly #options: ReconcileOptions
  readonly #report: ReconcileReport = {
    bytesSent: 0,
    bytesReceived: 0,
    recordsSent: 0,
    applied: 0,
    refused: 0,
    turns: 0,
  }
  #applying: Promise<ApplyReport | undefined> = Promise.resolve(undefined)
  /** Of as many keys as stand here at most, however often the peer repeats itself. */
  readonly #beaten = new Set<string>()
  /** Whether `takeBeaten` is called. */
  keepsBeaten = false
  #emptyTurns = 0
  #delayedBytes = 0
  #batch: Uint8Array[] = []
  #batchBytes = 0

  constructor(channel: Channel, ledger: Ledger, positions: Positions, options: ReconcileOptions) {
    this.#channel = channel
    this.#ledger = ledger
    this.positions = positions
    this.fingerprints = positions.fingerprints
    this.#options = options
    this.#clock = options.clock ?? wallClock
  }

  static async run(
    channel: Channel,
    ledger: Ledger,
    options: ReconcileOptions,
    work: (conversation: Conversation) => Promise<void>,
  ): Promise<ReconcileReport> {
    const { clock = wallClock, maxMs = 120_000, signal } = options
    const [over, late] = [new AbortController(), new AbortController()]
    // Nobody is to blame for a slow line: what was applied until then stays, and the next one goes on from there.
    clock.sleep(maxMs, { signal: over.signal }).then(
      () => late.abort(new ChannelBrokenError(`the reconciliation took more than ${maxMs} ms`)),
      () => undefined,
    )
    const limited = AbortSignal.any(signal === undefined ? [late.signal] : [late.signal, signal])
    const bounded = { ...options, signal: limited }
    let conversation: Conversation | undefined
    try {
      conversation = new Conversation(channel, ledger, await ledger.positions(), bounded)
      await work(conversation)
      await conversation.#settle()
      await channel.close()
      return conversation.#report
    } catch (error) {
      if (conversation !== undefined) await Promise.allSettled([conversation.#applying])
      const reason = error instanceof MalformedError ? new PeerMisbehavedError(error.message, error) : error
      channel.abort(reason instanceof Error ? reason : new Error('the reconciliation failed'))
      throw reason
    } finally {
      over.abort()
    }
  }

  async send(message: Message): Promise<void> {
    const frame = messages.encode(message)
    this.#report.bytesSent += frame.length
    await this.#within('took no message', (signal) => this.#channel.send(frame, { signal }))
  }

  /** Returns what it said of its own policy. */
  async sendHello(): Promise<OwnPolicy> {
    const { fingerprints } = this
    const now = Math.max(0, Math.floor(this.#clock.now()))
    const record = this.#ledger.findRecord({ kind: 'policy' })
    const policy = record === undefined ? new Uint8Array() : hash('sha256', record, 'buffer')
    await this.send({
      type: 'hello',
      version,
      now,
      total: fingerprints.total,
      root: fingerprints.of(''),
      policy,
    })
    return { hash: policy, record }
  }

  async receiveHello(): Promise<MessageOf<'hello'>> {
    const hello = await this.receive()
    if (hello.type !== 'hello') throw new PeerMisbehavedError(`began with ${hello.type} instead of hello`)
    if (hello.version !== version) throw new PeerMisbehavedError(`speaks version ${hello.version}`)
    this.#options.onClock?.(hello.now - this.#clock.now())
    return hello
  }

  /** Adds a record to those that are on their way in this turn. */
  async sendRecord(record: Uint8Array): Promise<void> {
    this.#batch.push(record)
    this.#batchBytes += record.length
    this.#report.recordsSent++
    // Each record is sent once, so a peer that is owed more than there is asks for the same again.
    if (this.#report.recordsSent > 2 * this.fingerprints.total + slackRecords) {
      throw new PeerMisbehavedError('asks for the same records again and again')
    }
    if (this.#batchBytes >= batchBytes || this.#batch.length >= batchRecords) await this.flushRecords()
  }

  async flushRecords(): Promise<void> {
    const records = this.#batch
    if (records.length === 0) return
    this.#batch = []
    this.#batchBytes = 0
    await this.send({ type: 'records', records })
  }

  async receive(): Promise<Message> {
    const frame = await this.#within('was silent', (signal) => this.#channel.receive({ signal }))
    if (frame === undefined) throw new ChannelBrokenError('the peer left in the middle of a reconciliation')
    this.#report.bytesReceived += frame.length
    if (this.#report.bytesReceived > (this.#options.maxBytes ?? 2 ** 30)) {
      throw new PeerMisbehavedError('sent more bytes than a reconciliation may take')
    }
    const message = messages.decode(frame)
    if (isEmpty(message)) throw new PeerMisbehavedError(`sent ${message.type} with nothing in it`)
    return message
  }

  /**
   * The peer's turn, or the end. Records are applied while the next are on their way, and all of them before it returns.
   * Throws when the other messages of the turn are more than `maxBytes`.
   */
  async receiveTurn(maxBytes: number): Promise<{ said: Message[]; done: boolean }> {
    if (++this.#report.turns > maxTurns) throw new PeerMisbehavedError('takes turns without an end')
    const said: Message[] = []
    let bytes = 0
    let isEmptyTurn = true
    for (;;) {
      const before = this.#report.bytesReceived
      const message = await this.receive()
      isEmptyTurn &&= message.type === 'over'
      if (message.type === 'records') await this.#apply(message.records)
      else if (message.type === 'over' || message.type === 'done') {
        await this.#settle()
        if (isEmptyTurn && message.type === 'over' && ++this.#emptyTurns > maxEmptyTurns) {
          throw new PeerMisbehavedError('takes turns and says nothing')
        }
        return { said, done: message.type === 'done' }
      } else {
        said.push(message)
        bytes += this.#report.bytesReceived - before
        if (bytes > maxBytes) throw new PeerMisbehavedError('says more in one turn than was agreed')
      }
    }
  }

  /** It has been sent so much that it cannot take now that it should ask for no more. */
  get isSated(): boolean {
    return this.#delayedBytes > maxDelayedBytes
  }

  /** The keys of records from the peer that lost to what stands here, since it was asked last. */
  takeBeaten(): string[] {
    const beaten = [...this.#beaten]
    this.#beaten.clear()
    return beaten
  }

  /** One batch is being verified and stored while the next is received, and no more. */
  async #apply(records: Uint8Array[]): Promise<void> {
    await this.#settle()
    const { signal } = this.#options
    const applying = this.#ledger.apply(records, signal === undefined ? {} : { signal })
    applying.catch(() => undefined)
    this.#applying = applying
  }

  async #settle(): Promise<void> {
    const report = await this.#applying
    this.#applying = Promise.resolve(undefined)
    if (report === undefined) return
    if (this.keepsBeaten) for (const key of report.beaten) this.#beaten.add(key)
    this.#report.applied += report.applied
    this.#delayedBytes += report.delayedBytes
    if (report.applied > 0) this.#options.onApplied?.()
    this.#report.refused += Object.values(report.refused).reduce((sum, count) => sum + count, 0)
    if (report.blame !== undefined) throw new PeerMisbehavedError(`sent a record that is ${report.blame}`)
  }

  async #within<T>(fault: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { idleMs = 10_000, signal } = this.#options
    const over = new AbortController()
    const late = new AbortController()
    const both = AbortSignal.any(signal === undefined ? [late.signal] : [late.signal, signal])
    const timer = this.#clock.sleep(idleMs, { signal: over.signal }).then(
      () => late.abort(new PeerMisbehavedError(`${fault} for ${idleMs} ms`)),
      () => undefined,
    )
    try {
      return await work(both)
    } finally {
      over.abort()
      await timer
    }
  }
}

function isEmpty(message: Message): boolean {
  if (message.type === 'records') return message.records.length === 0
  if (message.type === 'want') return message.positions.length === 0
  if (message.type === 'items') return message.ranges.length === 0
  return (message.type === 'compare' || message.type === 'differ') && message.nodes.length === 0
}

/** The authority as a ledger knows it: which key governs, how it came to, and what the node that holds it does with it. */
import type { Clock, Logger } from '../base/base.ts'
import { type Identity, parsePeerId, peerIdOf, type Verifier } from '../wire/wire.ts'
import type { AuthorityMemory } from './authority-memory.ts'
import { NotPermittedError } from './errors.ts'
import { handOver, signAgain } from './hand-over.ts'
import type { SignedRecord } from './record.ts'
import { type Database, handingOverAt } from './storage.ts'
import type { StoredRecords } from './stored.ts'
import { checkChain, type Handover, type Statement, signHandover } from './succession.ts'
import type { Writer } from './writer.ts'

/** Keys as peer ids. */
export interface AuthorityState {
  /** Which the tokens name. */
  root: string
  now: string
  /** From the root on. `isReplaced`: its keeper did not hand it over, others replaced it. */
  handovers: { to: string; atMs: number; isReplaced: boolean }[]
  /** Another key that the authority was handed over to as well, as this node heard since it started. */
  contested?: { other: string; from: string; atMs: number; seenMs: number }
}

export interface Authority {
  state(): AuthorityState
  /** Whether the key that governs now is here. */
  holds(): boolean
  /** Has the ledger sign with that key where it governs; without one it gives it up. */
  use(key: Identity | undefined): Promise<void>
  /**
   * Signed by the key that is here: `to` governs from then on, and what stands is signed again with it. Durable, and `to` in
   * use, when it resolves. Throws `NOT_PERMITTED` and `CLOCK_WRONG`.
   */
  handOver(to: Identity): Promise<void>
  /** As `handOver`, by keys that the policy's `recovery` names: each signature with its key (succession.ts). */
  replace(to: Identity, atMs: number, signatures: Uint8Array[]): Promise<void>
  /** What a replacement by `to` has to have signed. Throws `NOT_PERMITTED` where the policy names nobody who might. */
  proposal(to: Uint8Array, atMs: number): Statement
  /** Takes the contested one, which an operator has found to be right. */
  follow(peerId: string): Promise<void>
}

interface AuthorityOptions {
  db: Database
  records: StoredRecords
  writer: Writer
  memory: AuthorityMemory
  verifier: Verifier
  clock: Clock
  steady: Clock
  logger: Logger
  /** Throws where nothing may be signed. */
  checkClock(): void
}

const tellAgainMs = 60 * 60_000

export class LedgerAuthority implements Authority {
  readonly #options: AuthorityOptions
  #contested: { loser: SignedRecord; seenMs: number } | undefined

  constructor(options: AuthorityOptions) {
    this.#options = options
  }

  state(): AuthorityState {
    const { root, authority, value } = this.#options.writer.rules
    const handovers = (value.handovers ?? []).map(({ to, at, grant }) => ({
      to: peerIdOf(to),
      atMs: at,
      isReplaced: grant !== undefined,
    }))
    const state = { root: peerIdOf(root), now: peerIdOf(authority), handovers }
    const contested = this.#contestedLink()
    return contested === undefined ? state : { ...state, contested }
  }

  holds(): boolean {
    return this.#options.writer.authority !== undefined
  }

  async use(key: Identity | undefined): Promise<void> {
    const { writer, db, records } = this.#options
    writer.use(key)
    if (writer.authority === undefined || db.getSync(handingOverAt) === undefined) return
    // It was stopped while it signed again what stood.
    await writer.run(
      async (write) => {
        if (writer.authority !== undefined) await signAgain(write, writer.authority, { records, writer })
      },
      { sync: true },
    )
  }

  async handOver(to: Identity): Promise<void> {
    const from = this.get()
    await this.#run(to, (atMs) => signHandover(from, to.publicKey, atMs))
  }

  async replace(to: Identity, atMs: number, signatures: Uint8Array[]): Promise<void> {
    const statement = this.proposal(to.publicKey, atMs)
    const { recovery: grant } = this.#options.writer.rules.value
    if (grant === undefined) throw noRecovery()
    await this.#run(to, () => ({ ...statement, grant, signatures }))
  }

  proposal(to: Uint8Array, atMs: number): Statement {
    const { authority, value } = this.#options.writer.rules
    if (value.recovery === undefined) throw noRecovery()
    return { from: authority, to, at: Math.floor(atMs) }
  }

  async follow(peerId: string): Promise<void> {
    const { writer, memory } = this.#options
    const loser = this.#contested?.loser
    if (loser === undefined || this.#contestedLink()?.other !== peerId)
      throw new NotPermittedError(
        `${peerIdOf(parsePeerId(peerId))} is not a key that this node has heard the authority was handed over to as well; shoal authority show names it where there is one`,
      )
    await writer.run(
      async (write) => {
        memory.learn(loser, write.draft, { settled: true })
        write.accept(loser, { own: true })
      },
      { sync: true },
    )
    this.#contested = undefined
  }

  /** Throws `NOT_PERMITTED`. */
  get(): Identity {
    const { authority } = this.#options.writer
    if (authority !== undefined) return authority
    throw new NotPermittedError('this node does not hold the authority key of the cluster')
  }

  contest(loser: SignedRecord): void {
    const { steady, logger } = this.#options
    const before = this.#contested
    const isNews = before === undefined || steady.now() - before.seenMs >= tellAgainMs
    this.#contested = { loser, seenMs: steady.now() }
    if (!isNews) return
    const { contested, now } = this.state()
    logger.warn(
      { from: contested?.from, other: contested?.other, follows: now },
      'the cluster’s authority was handed over twice by one key: shoal doctor says what to do',
    )
  }

  #contestedLink(): AuthorityState['contested'] {
    const { writer } = this.#options
    const body = this.#contested?.loser.body
    if (this.#contested === undefined || body?.kind !== 'policy') return undefined
    const followed = writer.rules.value.handovers ?? []
    const link = (body.value.handovers ?? []).find(
      ({ to }, index) => Buffer.compare(to, followed[index]?.to ?? new Uint8Array()) !== 0,
    )
    if (link === undefined) return undefined
    const { from, to, at } = link
    return { other: peerIdOf(to), from: peerIdOf(from), atMs: at, seenMs: this.#contested.seenMs }
  }

  async #run(to: Identity, sign: (atMs: number) => Handover): Promise<void> {
    const { writer, records, memory, verifier, clock, steady, checkClock } = this.#options
    checkClock()
    await writer.run(
      async (write) => {
        const link = sign(clock.now())
        // As every other node judges it: what those would refuse is not begun.
        checkChain([...(writer.rules.value.handovers ?? []), link], to.publicKey)
        await handOver(write, link, to, { records, writer, memory, verifier, clock, steady })
      },
      { sync: true },
    )
  }
}

function noRecovery(): NotPermittedError {
  return new NotPermittedError(
    'the policy names nobody who may replace the authority: its key "recovery" has to have been set before the key was lost',
  )
}

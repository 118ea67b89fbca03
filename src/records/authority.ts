/** The authority as a ledger knows it: which key governs, how it came to, and what the node that holds it does with it. */
import type { Clock, Logger } from '../base/base.ts'
import { type Identity, parsePeerId, peerIdOf, type Verifier } from '../wire/wire.ts'
import type { AuthorityMemory } from './authority-memory.ts'
import { NotPermittedError } from './errors.ts'
import { handOver, signAgain } from './hand-over.ts'
import { keyText, type SignedRecord } from './record.ts'
import { contestedAt, type Database, handingOverAt } from './storage.ts'
import { proveRecord, type StoredRecords } from './stored.ts'
import { checkChain, type Handover, type Statement, signHandover } from './succession.ts'
import type { Writer } from './writer.ts'

/** Keys as peer ids. */
export interface AuthorityState {
  /** Which the tokens name. */
  root: string
  now: string
  /** From the root on. `isReplaced`: its keeper did not hand it over, others replaced it. */
  handovers: { to: string; atMs: number; isReplaced: boolean }[]
  /** Another key that the authority was handed over to as well, until an operator said which is right. */
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
  /** That key is the right one of the two, as an operator has found: it is followed, and the other forgotten. */
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
const policyKey = keyText({ kind: 'policy' })

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
    this.get()
    // Another handover may come in between.
    await this.#run(to, (atMs) => signHandover(this.get(), to.publicKey, atMs))
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
    const { now, contested } = this.state()
    const loser = this.#contested?.loser
    if (loser === undefined || contested === undefined || (peerId !== contested.other && peerId !== now))
      throw new NotPermittedError(
        `${peerIdOf(parsePeerId(peerId))} is none of two keys that this node has heard the authority was handed over to by one; shoal authority show names them where there are such`,
      )
    await writer.run(
      async (write) => {
        const right = peerId === now ? write.draft.find(policyKey) : loser
        if (right !== undefined) memory.learn(right, write.draft, { settled: true })
        if (right === loser) write.accept(loser, { own: true })
        write.draft.write(contestedAt, undefined)
      },
      { sync: true },
    )
    this.#contested = undefined
  }

  /** Throws `NOT_PERMITTED`. */
  get(): Identity {
    const { authority } = this.#options.writer
    if (authority !== undefined) return authority
    throw new NotPermittedError(
      'this node does not hold the authority key of the cluster: do it at the node that does, usually the one that started the cluster, or bring the key here (shoal authority import FILE)',
    )
  }

  /** What an earlier run heard of. */
  async open(): Promise<void> {
    const { db, verifier } = this.#options
    const { seenMs, record } = readContest(db.getSync(contestedAt))
    const loser = await proveRecord(policyKey, record, verifier)
    if (loser !== undefined) this.#contested = { loser, seenMs }
  }

  async contest(loser: SignedRecord): Promise<void> {
    const { steady, writer, logger } = this.#options
    const before = this.#contested
    const seenMs = steady.now()
    const isNews = before === undefined || seenMs - before.seenMs >= tellAgainMs
    this.#contested = { loser, seenMs }
    if (!isNews) return
    const { contested, now } = this.state()
    logger.warn(
      { from: contested?.from, other: contested?.other, follows: now },
      'the cluster’s authority was handed over twice by one key: shoal doctor says what to do',
    )
    const kept = JSON.stringify({ seenMs, record: Buffer.from(loser.envelope.bytes).toString('base64') })
    await writer.run(async ({ draft }) => draft.write(contestedAt, kept), { sync: false })
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

/** What the disk made of it says nothing. */
function readContest(row: string | undefined): { seenMs: number; record: Uint8Array } {
  try {
    const { seenMs, record } = (JSON.parse(row ?? '{}') ?? {}) as { seenMs?: unknown; record?: unknown }
    return { seenMs: Number(seenMs), record: Buffer.from(String(record), 'base64') }
  } catch (error) {
    if (error instanceof SyntaxError) return { seenMs: 0, record: new Uint8Array(0) }
    throw error
  }
}

function noRecovery(): NotPermittedError {
  return new NotPermittedError(
    'the policy names nobody who may replace the authority: its key "recovery" has to have been set before the key was lost',
  )
}

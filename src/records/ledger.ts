/** A ledger over LevelDB: the current record of each key, what the registry asks of them, and how they change. */
import type { Level } from 'level'
import {
  type Clock,
  type Logger,
  type Metrics,
  noMetrics,
  silentLogger,
  steadyClock,
  wallClock,
} from '../base/base.ts'
import { createVerifier, type Identity, parsePeerId } from '../wire/wire.ts'
import { ClockWrongError, NotPermittedError } from './errors.ts'
import { type Drop, govern } from './govern.ts'
import { type ApplyOptions, type ApplyReport, Inflow } from './inflow.ts'
import { Intake } from './intake.ts'
import type { MembersTime } from './members-time.ts'
import { openPolicy, type Permission, type Policy, policyText, Rules } from './policy.ts'
import { Positions } from './positions.ts'
import { gatherChanges } from './publish.ts'
import { createQueries } from './queries.ts'
import { decodeRecord, keyText, type RecordKey, recordDomain } from './record.ts'
import type { Change, ChangedKey, Decision, Names } from './records.ts'
import { Retention } from './retention.ts'
import { type Database, recordAt, recordsOf } from './storage.ts'
import { Sweep } from './sweep.ts'
import { type RecordListener, Writer } from './writer.ts'

export interface Ledger extends Names, AsyncDisposable {
  /**
   * Takes records from a peer. Never throws for what they hold: the report says. Records that stand already change nothing.
   * Those whose key somebody here asked for are `wanted`, and not counted against what others may write (intake.ts).
   */
  apply(records: Uint8Array[], options?: ApplyOptions): Promise<ApplyReport>
  /** The current record of `key` as signed, tombstones included. */
  findRecord(key: RecordKey): Uint8Array | undefined
  /** Calls `listener` with records that became current. Returns the unsubscriber. */
  onRecords(listener: RecordListener): () => void
  policy(): Policy
  /** Whether the policy bans that peer. */
  isBanned(peerId: string): boolean
  /** Whether the policy names it as one that may write somewhere, or seals. */
  isNamed(peerId: string): boolean
  /** Why that peer may publish under a repository's name: a rule of the policy, or that none covers it; `undefined` where it may not. */
  permission(peerId: string, repository: string): Permission | undefined
  /**
   * Makes it the cluster's policy. What it would exclude, but for what is to be dropped, is signed again by the authority,
   * and what it makes immutable sealed, so that nothing that stands goes away. Throws `NOT_PERMITTED` without the authority
   * key, `CLOCK_WRONG`, and `MALFORMED` for a pattern or peer id that is none.
   */
  setPolicy(policy: Policy, options?: { drop?: Drop }): Promise<void>
  /** As `publish`, signed by the authority: the one way to move or delete an immutable tag. */
  publishAsAuthority(changes: Change[] | Decision): Promise<void>
  /** Buries old tombstones and drops what the policy excludes; it also runs by itself. */
  sweep(options?: { signal?: AbortSignal }): Promise<void>
  /** What reconciliation compares. Resolves once every record has been counted. */
  positions(): Promise<Positions>
}

export interface LedgerOptions {
  db: Level
  /** This node's key pair. */
  identity: Identity
  /** The public key of the cluster's authority, 32 bytes. */
  authority: Uint8Array
  /** The authority's key pair, on the node that holds it. */
  authorityIdentity?: Identity | undefined
  /** The time of day: what is signed is stamped with it. */
  clock?: Clock
  /** Measures durations. Default `clock` where that is given. */
  steady?: Clock
  /** What members say of the time; nothing is signed while they say that the clock is wrong. */
  time?: MembersTime
  logger?: Logger
  metrics?: Metrics
  /** Default an hour. */
  sweepEveryMs?: number
}

/** Reads one record; the rest is counted in the background. */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const db = recordsOf(options.db)
  await db.open()
  const policy = await db.get<string, Uint8Array>(recordAt(keyText({ kind: 'policy' })), {
    valueEncoding: 'view',
  })
  const body = policy === undefined ? undefined : decodeRecord(policy).body
  const rules = new Rules(body?.kind === 'policy' ? body.value : openPolicy, options.authority)
  return new LevelLedger(db, rules, options).start()
}

class LevelLedger implements Ledger {
  readonly findTag: Names['findTag']
  readonly findManifest: Names['findManifest']
  readonly listTags: Names['listTags']
  readonly listRepositories: Names['listRepositories']
  readonly hasRepository: Names['hasRepository']
  readonly hasPushedTag: Names['hasPushedTag']
  readonly listManifests: Names['listManifests']
  readonly listReferrers: Names['listReferrers']
  readonly tagsOf: Names['tagsOf']
  readonly #db: Database
  readonly #options: LedgerOptions
  readonly #clock: Clock
  readonly #steady: Clock
  readonly #writer: Writer
  readonly #inflow: Inflow
  readonly #sweep: Sweep
  readonly #positions: Positions
  readonly #closing = new AbortController()
  #counted: Promise<void> = Promise.resolve()
  #sweeping: Promise<void> = Promise.resolve()

  constructor(db: Database, rules: Rules, options: LedgerOptions) {
    const { identity, authorityIdentity: authority, clock = wallClock, logger = silentLogger } = options
    const { metrics = noMetrics, steady = options.clock ?? steadyClock } = options
    const intake = new Intake({
      db,
      free: [identity.publicKey, options.authority],
      clock,
      now: () => steady.now(),
      logger,
    })
    const positions = new Positions(db, intake)
    const { fingerprints } = positions
    this.#db = db
    this.#positions = positions
    this.#options = options
    this.#clock = clock
    this.#steady = steady
    const retention = new Retention(clock, steady)
    const onPolicy = (): void => this.#sweep.runSoon()
    const writer = new Writer({
      db,
      fingerprints,
      rules,
      identity,
      authority,
      clock,
      onPolicy,
      logger,
      metrics,
    })
    metrics.gauge('shoal_records', () => fingerprints.total)
    metrics.gauge('shoal_records_waiting', () => intake.waiting)
    const verifier = createVerifier(recordDomain)
    this.#writer = writer
    this.#inflow = new Inflow({
      db,
      fingerprints,
      writer,
      verifier,
      retention,
      intake,
      clock,
      steady,
      metrics,
    })
    const { time } = options
    this.#sweep = new Sweep({ db, writer, retention, clock, steady, time, logger })
    const queries = createQueries(db, clock)
    this.findTag = queries.findTag
    this.findManifest = queries.findManifest
    this.listTags = queries.listTags
    this.listRepositories = queries.listRepositories
    this.hasRepository = queries.hasRepository
    this.hasPushedTag = queries.hasPushedTag
    this.listManifests = queries.listManifests
    this.listReferrers = queries.listReferrers
    this.tagsOf = queries.tagsOf
  }

  start(): this {
    this.#counted = this.#positions.count(this.#closing.signal)
    // Whoever asks for the fingerprints gets the failure; until then it is nobody's.
    this.#counted.catch(() => undefined)
    const { sweepEveryMs = 60 * 60_000 } = this.#options
    this.#options.time?.onHeard(() => this.#sweep.clockHeard())
    this.#sweeping = this.#sweep.runAgain(sweepEveryMs, { signal: this.#closing.signal })
    return this
  }

  publish(changes: Change[] | Decision): Promise<void> {
    return this.#publish(changes, this.#options.identity)
  }

  async publishAsAuthority(changes: Change[] | Decision): Promise<void> {
    await this.#publish(changes, this.#getAuthority())
  }

  apply(records: Uint8Array[], options?: ApplyOptions): Promise<ApplyReport> {
    return this.#inflow.apply(records, options)
  }

  findRecord(key: RecordKey): Uint8Array | undefined {
    return this.#db.getSync<string, Uint8Array>(recordAt(keyText(key)), { valueEncoding: 'view' })
  }

  onChange(listener: (keys: ChangedKey[]) => void): () => void {
    return subscribe(this.#writer.changeListeners, listener)
  }

  onRecords(listener: RecordListener): () => void {
    return subscribe(this.#writer.recordListeners, listener)
  }

  policy(): Policy {
    return policyText(this.#writer.rules.value)
  }

  isBanned(peerId: string): boolean {
    return this.#writer.rules.bannedPeers.has(peerId)
  }

  isNamed(peerId: string): boolean {
    return this.#writer.rules.names(parsePeerId(peerId))
  }

  permission(peerId: string, repository: string): Permission | undefined {
    return this.#writer.rules.permission(parsePeerId(peerId), repository)
  }

  async setPolicy(policy: Policy, { drop }: { drop?: Drop } = {}): Promise<void> {
    const authority = this.#getAuthority()
    this.#checkClock()
    const writer = this.#writer
    const how = { db: this.#db, writer, authority, clock: this.#clock, steady: this.#steady, drop }
    await writer.run((write) => govern(write, policy, how), { sync: true })
  }

  sweep(options?: { signal?: AbortSignal }): Promise<void> {
    return this.#sweep.run(options)
  }

  async positions(): Promise<Positions> {
    await this.#counted
    await this.#positions.warm()
    return this.#positions
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await Promise.allSettled([this.#counted, this.#sweeping])
    await this.#writer.idle()
    await this.#db.close()
  }

  async #publish(changes: Change[] | Decision, identity: Identity): Promise<void> {
    this.#checkClock()
    const writer = this.#writer
    const isConfirmed = (): boolean => this.#options.time?.isConfirmed() ?? false
    const clock = this.#clock
    await writer.run(
      async (write) => {
        const decided = typeof changes === 'function' ? await changes() : changes
        await gatherChanges(write, writer.rules, decided, { identity, clock, isConfirmed })
      },
      { sync: true },
    )
  }

  #checkClock(): void {
    const problem = this.#options.time?.problem()
    if (problem !== undefined) throw new ClockWrongError(problem)
  }

  #getAuthority(): Identity {
    const { authorityIdentity } = this.#options
    if (authorityIdentity !== undefined) return authorityIdentity
    throw new NotPermittedError('this node does not hold the authority key of the cluster')
  }
}

function subscribe<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

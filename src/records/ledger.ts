/** A ledger over LevelDB: the current record of each key, what the registry asks of them, and how they change. */
import { type Clock, noMetrics, silentLogger, steadyClock, wallClock } from '../base/base.ts'
import type { Repository } from '../oci/oci.ts'
import { createVerifier, type Identity, parsePeerId, type Verifier } from '../wire/wire.ts'
import { createAccountQueries } from './account-queries.ts'
import { Audit, tellUnreadable } from './audit.ts'
import { LedgerAuthority } from './authority.ts'
import { AuthorityMemory } from './authority-memory.ts'
import { ClockWrongError } from './errors.ts'
import { govern } from './govern.ts'
import { type ApplyOptions, type ApplyReport, Inflow } from './inflow.ts'
import { Intake } from './intake.ts'
import type { Ledger, LedgerOptions, SetPolicyOptions } from './ledger-contract.ts'
import { openPolicy, type Policy, policyText } from './policy.ts'
import { Positions } from './positions.ts'
import { gatherChanges } from './publish.ts'
import { createQueries } from './queries.ts'
import { keyText, type RecordKey, recordDomain, type SignedRecord } from './record.ts'
import type { Change, ChangedKey, Decision, Names } from './records.ts'
import { Retention } from './retention.ts'
import type { Roster } from './roster.ts'
import type { AuditReport } from './row-check.ts'
import { type Permission, Rules, type Signer } from './rules.ts'
import { SetAside } from './set-aside.ts'
import { type Database, recordAt, recordsOf } from './storage.ts'
import { proveRecord, StoredRecords } from './stored.ts'
import { Sweep } from './sweep.ts'
import { type TagCount, TagCounts } from './tag-counts.ts'
import { type RecordListener, Writer } from './writer.ts'

/** Reads the policy and who belongs to the cluster; the rest is counted in the background. */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const db = recordsOf(options.db)
  await db.open()
  const verifier = createVerifier(recordDomain)
  const ledger = new LevelLedger(db, await readPolicy(db, verifier, options), verifier, options)
  await ledger.start()
  await ledger.authority.open()
  await ledger.authority.use(options.authorityIdentity)
  return ledger
}

async function readPolicy(
  db: Database,
  verifier: Verifier,
  { logger = silentLogger }: LedgerOptions,
): Promise<SignedRecord | undefined> {
  const key = keyText({ kind: 'policy' })
  const bytes = await db.get<string, Uint8Array>(recordAt(key), { valueEncoding: 'view' })
  const record = bytes === undefined ? undefined : await proveRecord(key, bytes, verifier)
  if (bytes !== undefined && record === undefined)
    logger.error(
      {},
      "the disk gave other bytes for the cluster's policy than were stored: none counts here until a member brings it",
    )
  return record
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
  readonly #tagCounts: TagCounts
  readonly findAccount: Ledger['findAccount']
  readonly listAccounts: Ledger['listAccounts']
  readonly #db: Database
  readonly authority: LedgerAuthority
  readonly #options: LedgerOptions
  readonly #memory: AuthorityMemory
  readonly #clock: Clock
  readonly #steady: Clock
  readonly #writer: Writer
  readonly #inflow: Inflow
  readonly #sweep: Sweep
  readonly #audit: Audit
  readonly #setAside: SetAside
  readonly #records: StoredRecords
  readonly #positions: Positions
  readonly #closing = new AbortController()
  #counted: Promise<void> = Promise.resolve()
  #background: Promise<unknown> = Promise.resolve()

  constructor(db: Database, policy: SignedRecord | undefined, verifier: Verifier, options: LedgerOptions) {
    const rules = new Rules(
      policy?.body.kind === 'policy' ? policy.body.value : openPolicy,
      options.authority,
    )
    const { identity, authorityIdentity: authority, clock = wallClock, logger = silentLogger } = options
    const { metrics = noMetrics, steady = options.clock ?? steadyClock } = options
    const intake = new Intake({
      db,
      own: identity.publicKey,
      clock,
      now: () => steady.now(),
      logger,
    })
    const records = new StoredRecords(db, () => this.#audit.suspect())
    const positions = new Positions(db, records, intake)
    const { fingerprints } = positions
    this.#db = db
    this.#records = records
    this.#positions = positions
    this.#options = options
    this.#clock = clock
    this.#steady = steady
    const retention = new Retention(clock, steady)
    const onPolicy = (): void => this.#sweep.runSoon()
    const writer = new Writer({
      db,
      records,
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
    this.#writer = writer
    const memory = new AuthorityMemory(db, steady, policy)
    this.#memory = memory
    this.authority = new LedgerAuthority({
      db,
      records,
      writer,
      memory,
      verifier,
      clock,
      steady,
      logger,
      checkClock: () => this.#checkClock(),
    })
    this.#inflow = new Inflow({
      db,
      records,
      fingerprints,
      writer,
      verifier,
      retention,
      intake,
      memory,
      onContest: (loser) => this.authority.contest(loser),
      clock,
      steady,
      metrics,
    })
    const { time } = options
    this.#setAside = new SetAside(db, writer)
    metrics.gauge('shoal_records_unreadable', () => this.#setAside.count)
    this.#audit = new Audit({
      setAside: this.#setAside,
      db,
      records,
      writer,
      positions,
      verifier,
      counted: () => this.#whenCounted(),
      steady,
      logger,
      metrics,
    })
    this.#sweep = new Sweep({ db, records, writer, retention, clock, steady, time, logger })
    const queries = createQueries(db, records, clock)
    this.findTag = queries.findTag
    this.findManifest = queries.findManifest
    this.listTags = queries.listTags
    this.listRepositories = queries.listRepositories
    this.hasRepository = queries.hasRepository
    this.hasPushedTag = queries.hasPushedTag
    this.listManifests = queries.listManifests
    this.listReferrers = queries.listReferrers
    this.tagsOf = queries.tagsOf
    this.#tagCounts = new TagCounts({ db, findTag: queries.findTag, steady })
    this.onChange((keys) => this.#tagCounts.changed(keys))
    const accounts = createAccountQueries(db, records, () => writer.rules)
    this.findAccount = accounts.findAccount
    this.listAccounts = accounts.listAccounts
  }

  async start(): Promise<this> {
    await this.#writer.open()
    await this.#setAside.restore((records, how) => this.#inflow.apply(records, how))
    const { logger = silentLogger } = this.#options
    if (this.#setAside.count > 0) tellUnreadable(logger, this.#setAside.count)
    const { signal } = this.#closing
    this.#counted = this.#positions.count(signal)
    // Whoever asks for the fingerprints gets the failure; until then it is nobody's.
    this.#counted.catch(() => undefined)
    const { sweepEveryMs = 60 * 60_000, auditEveryMs = 24 * 60 * 60_000 } = this.#options
    this.#options.time?.onHeard(() => this.#sweep.clockHeard())
    this.#background = Promise.all([
      this.#sweep.runAgain(sweepEveryMs, { signal }),
      this.#audit.runAgain(auditEveryMs, { signal }),
    ])
    return this
  }

  publish(changes: Change[] | Decision): Promise<void> {
    return this.#publish(changes, this.#options.identity)
  }

  async publishAsAuthority(changes: Change[] | Decision): Promise<void> {
    await this.#publish(changes, this.authority.get())
  }

  apply(records: Uint8Array[], options?: ApplyOptions): Promise<ApplyReport> {
    return this.#inflow.apply(records, options)
  }

  findRecord(key: RecordKey): Uint8Array | undefined {
    return this.#records.read(keyText(key))?.envelope.bytes
  }

  onChange(listener: (keys: ChangedKey[]) => void): () => void {
    return subscribe(this.#writer.changeListeners, listener)
  }

  onRecords(listener: RecordListener): () => void {
    return subscribe(this.#writer.recordListeners, listener)
  }

  countTags(repository: Repository): Promise<TagCount> {
    return this.#tagCounts.count(repository)
  }

  policy(): Policy {
    return policyText(this.#writer.rules.value)
  }

  isBanned(peerId: string): boolean {
    return this.#writer.rules.bannedPeers.has(peerId)
  }

  signsAs(publicKey: Uint8Array): Signer | undefined {
    return this.#writer.rules.signsAs(publicKey)
  }

  isNamed(peerId: string): boolean {
    return this.#writer.rules.names(parsePeerId(peerId))
  }

  isGuest(peerId: string): boolean {
    return this.#writer.rules.isGuest(peerId)
  }

  roster(): Roster {
    return this.#writer.rules.roster
  }

  permission(peerId: string, repository: string): Permission | undefined {
    return this.#writer.rules.permission(parsePeerId(peerId), repository)
  }

  async setPolicy(policy: Policy, { drop, present = [] }: SetPolicyOptions = {}): Promise<void> {
    const authority = this.authority.get()
    this.#checkClock()
    const [writer, records, memory] = [this.#writer, this.#records, this.#memory]
    const [clock, steady] = [this.#clock, this.#steady]
    const how = { records, writer, authority, memory, clock, steady, drop, present }
    await writer.run((write) => govern(write, policy, how), { sync: true })
  }

  sweep(options?: { signal?: AbortSignal }): Promise<void> {
    return this.#sweep.run(options)
  }

  audit(options?: { signal?: AbortSignal }): Promise<AuditReport> {
    const { signal } = this.#closing
    return this.#audit.run({
      signal: AbortSignal.any([signal, ...(options?.signal === undefined ? [] : [options.signal])]),
    })
  }

  damage(): AuditReport | undefined {
    return this.#audit.damage
  }

  unreadable(): number {
    return this.#setAside.count
  }

  async positions(): Promise<Positions> {
    await this.#whenCounted()
    await this.#positions.warm()
    return this.#positions
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await Promise.allSettled([this.#counted, this.#background])
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

  /** Where counting failed, as when the database was opened again in the middle of it, it is done anew. */
  async #whenCounted(): Promise<void> {
    const { signal } = this.#closing
    try {
      await this.#counted
    } catch {
      signal.throwIfAborted()
      this.#counted = this.#writer.run(() => this.#positions.countAgain(signal), { sync: false })
      await this.#counted
    }
  }

  #checkClock(): void {
    const problem = this.#options.time?.problem()
    if (problem !== undefined) throw new ClockWrongError(problem)
  }
}

function subscribe<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

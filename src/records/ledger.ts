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
import type { Digest, Repository } from '../oci/oci.ts'
import { createVerifier, type Identity, peerIdOf } from '../wire/wire.ts'
import { NotPermittedError } from './errors.ts'
import { type ApplyReport, Inflow } from './inflow.ts'
import { Intake } from './intake.ts'
import { openPolicy, type Policy, policyText, policyValue, Rules } from './policy.ts'
import { Positions } from './positions.ts'
import { gatherChanges } from './publish.ts'
import { createQueries } from './queries.ts'
import {
  decodeRecord,
  keyText,
  type RecordKey,
  recordDomain,
  type SignedRecord,
  sameBytes,
  signRecord,
} from './record.ts'
import type { Change, ChangedKey, Decision, Names } from './records.ts'
import { Retention } from './retention.ts'
import { type Database, policySeenAt, recordAt, recordsOf } from './storage.ts'
import { Sweep, scanRecords } from './sweep.ts'
import { stamp } from './time.ts'
import { type RecordListener, Writer } from './writer.ts'

export interface Ledger extends Names, AsyncDisposable {
  /**
   * Takes records from a peer. Never throws for what they hold: the report says. Records that stand already change nothing.
   * Those that somebody here asked for are `wanted`, and not counted against what others may write (intake.ts).
   */
  apply(records: Uint8Array[], options?: { signal?: AbortSignal; wanted?: boolean }): Promise<ApplyReport>
  /** The current record of `key` as signed, tombstones included. */
  findRecord(key: RecordKey): Uint8Array | undefined
  /** Calls `listener` with records that became current. Returns the unsubscriber. */
  onRecords(listener: RecordListener): () => void
  policy(): Policy
  /** Whether the policy bans that peer. */
  isBanned(peerId: string): boolean
  /**
   * Makes it the cluster's policy. What it would exclude, but for what is to be dropped, is signed again by the authority, and what it makes immutable as
   * well, so that nothing that stands goes away. Throws `NOT_PERMITTED` without the authority key, `MALFORMED` for a
   * pattern or peer id that is none.
   */
  setPolicy(policy: Policy, options?: { drop?: Drop }): Promise<void>
  /** As `publish`, signed by the authority: the one way to move or delete an immutable tag. */
  publishAsAuthority(changes: Change[] | Decision): Promise<void>
  /** Buries old tombstones and drops what the policy excludes; it also runs by itself. */
  sweep(options?: { signal?: AbortSignal }): Promise<void>
  /** What reconciliation compares. Resolves once every record has been counted. */
  positions(): Promise<Positions>
}

/** What an author that the policy bans had written goes away, but for the manifests that are kept. */
export interface Drop {
  /** A peer id. */
  author: string
  keeps(repository: Repository, digest: Digest): boolean
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
    this.#sweep = new Sweep({ db, writer, retention, clock, steady, logger })
    const queries = createQueries(db)
    this.findTag = queries.findTag
    this.findManifest = queries.findManifest
    this.listTags = queries.listTags
    this.listRepositories = queries.listRepositories
    this.hasRepository = queries.hasRepository
    this.listManifests = queries.listManifests
    this.listReferrers = queries.listReferrers
    this.tagsOf = queries.tagsOf
  }

  start(): this {
    this.#counted = this.#positions.count(this.#closing.signal)
    // Whoever asks for the fingerprints gets the failure; until then it is nobody's.
    this.#counted.catch(() => undefined)
    const { sweepEveryMs = 60 * 60_000 } = this.#options
    this.#sweeping = this.#sweep.runAgain(sweepEveryMs, { signal: this.#closing.signal })
    return this
  }

  publish(changes: Change[] | Decision): Promise<void> {
    return this.#publish(changes, this.#options.identity)
  }

  async publishAsAuthority(changes: Change[] | Decision): Promise<void> {
    await this.#publish(changes, this.#getAuthority())
  }

  apply(records: Uint8Array[], options?: { signal?: AbortSignal; wanted?: boolean }): Promise<ApplyReport> {
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

  async setPolicy(policy: Policy, { drop }: { drop?: Drop } = {}): Promise<void> {
    const authority = this.#getAuthority()
    const writer = this.#writer
    await writer.run(
      async (write) => {
        const now = writer.rules
        const value = policyValue(policy, now.value, this.#clock.now())
        const next = now.with(value)
        for await (const record of scanRecords(this.#db)) {
          const goes = now.refusalOf(record) === undefined && next.refusalOf(record) !== undefined
          const instead =
            drop !== undefined && isDropped(record, drop)
              ? this.#deletionOf(record, authority)
              : (writer.sealOf(record, next) ?? (goes ? writer.adopt(record) : undefined))
          if (instead !== undefined) write.accept(instead, { own: true })
          // Copies that are stored before the policy are harmless, as the authority may always write.
          if (write.size >= adoptedAtOnce) await write.flush({ sync: false })
        }
        const time = stamp(this.#clock.now(), write.draft.find(keyText({ kind: 'policy' }))?.body.time)
        write.draft.write(policySeenAt, String(this.#steady.now()))
        write.accept(signRecord({ kind: 'policy', key: '', time, value }, authority), { own: true })
      },
      { sync: true },
    )
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
    const writer = this.#writer
    const clock = this.#clock
    await writer.run(
      async (write) => {
        const decided = typeof changes === 'function' ? await changes() : changes
        await gatherChanges(write, writer.rules, decided, { identity, clock })
      },
      { sync: true },
    )
  }

  /** Of what the authority had signed again; the author's own records are swept, since it may not write any more. */
  #deletionOf(record: SignedRecord, authority: Identity): SignedRecord | undefined {
    const { body, envelope } = record
    const isAdopted = sameBytes(envelope.author, authority.publicKey) && body.value !== null
    if (!isAdopted || body.kind === 'policy') return undefined
    const time = stamp(this.#clock.now(), body.time)
    return signRecord({ kind: body.kind, key: body.key, time, value: null }, authority)
  }

  #getAuthority(): Identity {
    const { authorityIdentity } = this.#options
    if (authorityIdentity !== undefined) return authorityIdentity
    throw new NotPermittedError('this node does not hold the authority key of the cluster')
  }
}

const adoptedAtOnce = 256

function isDropped({ key, body, envelope, sealed }: SignedRecord, { author, keeps }: Drop): boolean {
  if (key.kind === 'policy') return false
  const wrote = body.origin ?? sealed?.original.envelope.author ?? envelope.author
  return peerIdOf(wrote) === author && !(key.kind === 'manifest' && keeps(key.repository, key.digest))
}

function subscribe<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

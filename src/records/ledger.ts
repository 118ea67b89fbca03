/** A ledger over LevelDB: the current record of each key, what the registry asks of them, and how they change. */
import type { Level } from 'level'
import { type Clock, type Logger, type Metrics, noMetrics, silentLogger, systemClock } from '../base/base.ts'
import { createVerifier, type Identity } from '../wire/wire.ts'
import { breather } from './breather.ts'
import { NotPermittedError } from './errors.ts'
import { Fingerprints } from './fingerprints.ts'
import { type ApplyReport, Inflow } from './inflow.ts'
import { openPolicy, type Policy, policyText, policyValue, Rules } from './policy.ts'
import { gatherChanges } from './publish.ts'
import { createQueries } from './queries.ts'
import { decodeRecord, keyText, type RecordKey, recordDomain, signRecord } from './record.ts'
import type { Change, ChangedKey, Names } from './records.ts'
import { Retention } from './retention.ts'
import { type Database, end, policySeenAt, positionAt, recordAt, recordsOf } from './storage.ts'
import { Sweep, scanRecords } from './sweep.ts'
import { stamp } from './time.ts'
import { type RecordListener, Writer } from './writer.ts'

export interface Ledger extends Names, AsyncDisposable {
  /** Takes records from a peer. Never throws for what they hold: the report says. Records that stand already change nothing. */
  apply(records: Uint8Array[], options?: { signal?: AbortSignal }): Promise<ApplyReport>
  /** The current record of `key` as signed, tombstones included. */
  findRecord(key: RecordKey): Uint8Array | undefined
  /** Calls `listener` with records that became current. Returns the unsubscriber. */
  onRecords(listener: RecordListener): () => void
  policy(): Policy
  /** Whether the policy bans that peer. */
  isBanned(peerId: string): boolean
  /**
   * Makes it the cluster's policy. What it would exclude is signed again by the authority, and what it makes immutable as
   * well, so that nothing that stands goes away. Throws `NOT_PERMITTED` without the authority key, `MALFORMED` for a
   * pattern or peer id that is none.
   */
  setPolicy(policy: Policy): Promise<void>
  /** As `publish`, signed by the authority: the one way to move or delete an immutable tag. */
  publishAsAuthority(changes: Change[]): Promise<void>
  /** Buries old tombstones and drops what the policy excludes; it also runs by itself. */
  sweep(options?: { signal?: AbortSignal }): Promise<void>
  /** What reconciliation compares. Resolves once every record has been counted. */
  fingerprints(): Promise<Fingerprints>
  /** The current records whose position begins with `prefix`, in order of position; those after `after`, up to `upTo`. */
  recordsUnder(prefix: string, range?: PositionRange): AsyncIterable<PositionedRecord>
  /** The current record at one position as signed. */
  findAt(position: string): Uint8Array | undefined
  /** The current records of these keys as signed, without those that are none. */
  getRecords(keys: string[]): Promise<Uint8Array[]>
}

/** Positions of 32 hex digits; the first is excluded, the last included. */
export interface PositionRange {
  after?: string
  upTo?: string
}

/** One current record in the order of reconciliation. */
export interface PositionedRecord {
  /** 32 hex digits. */
  position: string
  /** SHA-256 of the signed record. */
  hash: Uint8Array
  key: string
}

export interface LedgerOptions {
  db: Level
  /** This node's key pair. */
  identity: Identity
  /** The public key of the cluster's authority, 32 bytes. */
  authority: Uint8Array
  /** The authority's key pair, on the node that holds it. */
  authorityIdentity?: Identity
  clock?: Clock
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
  readonly #logger: Logger
  readonly #writer: Writer
  readonly #inflow: Inflow
  readonly #sweep: Sweep
  readonly #fingerprints = new Fingerprints()
  readonly #closing = new AbortController()
  #counted: Promise<void> = Promise.resolve()
  #sweeping: Promise<void> = Promise.resolve()

  constructor(db: Database, rules: Rules, options: LedgerOptions) {
    const { authorityIdentity: authority, clock = systemClock, logger = silentLogger } = options
    const { metrics = noMetrics } = options
    const fingerprints = this.#fingerprints
    this.#db = db
    this.#options = options
    this.#clock = clock
    this.#logger = logger
    const retention = new Retention(clock)
    const writer = new Writer({ db, fingerprints, rules, authority, logger })
    const verifier = createVerifier(recordDomain)
    this.#writer = writer
    this.#inflow = new Inflow({ db, fingerprints, writer, verifier, retention, clock, metrics })
    this.#sweep = new Sweep({ db, writer, retention, clock, seals: authority !== undefined })
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
    this.#counted = this.#count()
    // Whoever asks for the fingerprints gets the failure; until then it is nobody's.
    this.#counted.catch(() => undefined)
    this.#sweeping = this.#sweepAgain()
    return this
  }

  publish(changes: Change[]): Promise<void> {
    return this.#publish(changes, this.#options.identity)
  }

  publishAsAuthority(changes: Change[]): Promise<void> {
    return this.#publish(changes, this.#getAuthority())
  }

  apply(records: Uint8Array[], options?: { signal?: AbortSignal }): Promise<ApplyReport> {
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

  async setPolicy(policy: Policy): Promise<void> {
    const authority = this.#getAuthority()
    const value = policyValue(policy)
    const writer = this.#writer
    await writer.run(
      async (write) => {
        const now = writer.rules
        const next = now.with(value)
        for await (const record of scanRecords(this.#db)) {
          const { author } = record.envelope
          const goes = next.refusal(author, record.key) !== undefined
          const stood = now.refusal(author, record.key) === undefined
          if ((goes && stood) || writer.isUnsealed(record, next))
            write.accept(writer.adopt(record), { own: true })
          // Copies that are stored before the policy are harmless, as the authority may always write.
          if (write.size >= adoptedAtOnce) await write.flush({ sync: false })
        }
        const time = stamp(this.#clock.now(), write.draft.find(keyText({ kind: 'policy' }))?.body.time)
        write.draft.write(policySeenAt, String(this.#clock.now()))
        write.accept(signRecord({ kind: 'policy', key: '', time, value }, authority), { own: true })
      },
      { sync: true },
    )
  }

  sweep(options?: { signal?: AbortSignal }): Promise<void> {
    return this.#sweep.run(options)
  }

  async fingerprints(): Promise<Fingerprints> {
    await this.#counted
    const breathe = breather()
    // After many changes there is much to hash, which the first who asks for the root would do in one go.
    for (let high = 0; high < 256; high++) {
      this.#fingerprints.of(high.toString(16).padStart(2, '0'))
      await breathe()
    }
    return this.#fingerprints
  }

  async *recordsUnder(prefix: string, limits: PositionRange = {}): AsyncGenerator<PositionedRecord> {
    const { after, upTo } = limits
    const range = {
      ...(after === undefined ? { gte: positionAt(prefix) } : { gt: positionAt(after) }),
      ...(upTo === undefined ? { lt: positionAt(prefix + end) } : { lte: positionAt(upTo) }),
    }
    await using entries = this.#db.iterator<string, Uint8Array>({ ...range, valueEncoding: 'view' })
    for (
      let batch = await entries.nextv(batchLength);
      batch.length > 0;
      batch = await entries.nextv(batchLength)
    ) {
      for (const [entry, value] of batch) yield { position: entry.slice(1), ...unpackPosition(value) }
    }
  }

  findAt(position: string): Uint8Array | undefined {
    const view = { valueEncoding: 'view' } as const
    const value = this.#db.getSync<string, Uint8Array>(positionAt(position), view)
    return value && this.#db.getSync<string, Uint8Array>(recordAt(unpackPosition(value).key), view)
  }

  async getRecords(keys: string[]): Promise<Uint8Array[]> {
    const found = await this.#db.getMany<string, Uint8Array>(keys.map(recordAt), { valueEncoding: 'view' })
    return found.filter((record) => record !== undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await Promise.allSettled([this.#counted, this.#sweeping])
    await this.#writer.idle()
    await this.#db.close()
  }

  async #publish(changes: Change[], identity: Identity): Promise<void> {
    const writer = this.#writer
    const clock = this.#clock
    await writer.run((write) => gatherChanges(write, writer.rules, changes, { identity, clock }), {
      sync: true,
    })
  }

  #getAuthority(): Identity {
    const { authorityIdentity } = this.#options
    if (authorityIdentity !== undefined) return authorityIdentity
    throw new NotPermittedError('this node does not hold the authority key of the cluster')
  }

  /** Sums commute, so records that change meanwhile are right already: the iterator sees them as they were before. */
  async #count(): Promise<void> {
    const breathe = breather()
    for await (const { position, hash } of this.recordsUnder('')) {
      this.#closing.signal.throwIfAborted()
      this.#fingerprints.change(position, undefined, hash)
      await breathe()
    }
  }

  async #sweepAgain(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      try {
        await this.#clock.sleep(this.#options.sweepEveryMs ?? 60 * 60_000, { signal })
        await this.#sweep.run({ signal })
      } catch (error) {
        if (!signal.aborted) this.#logger.error({ err: error }, 'the ledger was not swept')
      }
    }
  }
}

const adoptedAtOnce = 256
const batchLength = 1000
const hashBytes = 32

function unpackPosition(value: Uint8Array): { hash: Uint8Array; key: string } {
  const key = Buffer.from(value.buffer, value.byteOffset + hashBytes, value.length - hashBytes).toString()
  return { hash: value.subarray(0, hashBytes), key }
}

function subscribe<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

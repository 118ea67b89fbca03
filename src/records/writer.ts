/** The one queue through which a ledger changes, so that what is read and what is written belong together. */
import { type Clock, type Logger, type Metrics, Semaphore } from '../base/base.ts'
import type { Identity } from '../wire/wire.ts'
import { Draft } from './draft.ts'
import type { Fingerprints } from './fingerprints.ts'
import { needsSeal, sealTimeOf } from './order.ts'
import { authorOf, type RecordBody, type SignedRecord, sameBytes, sealRecord, signRecord } from './record.ts'
import type { ChangedKey } from './records.ts'
import { isOfRoster, type Roster, RosterBook } from './roster.ts'
import type { Rules } from './rules.ts'
import { type Database, end, recordAt } from './storage.ts'
import type { StoredRecords } from './stored.ts'
import { stamp, tick } from './time.ts'
import { type Stored, Write } from './write.ts'

/** Of the keys of invitations, members and admissions. */
const rosterLetters = ['i', 'n', 'j']

/** `own` when they were signed here: those are for spreading, what came from a peer is on its way already. */
export type RecordListener = (records: Uint8Array[], options: { own: boolean }) => void
export type ChangeListener = (keys: ChangedKey[]) => void

interface WriterOptions {
  db: Database
  records: StoredRecords
  fingerprints: Fingerprints
  rules: Rules
  /** This node's key pair. */
  identity: Identity
  /** What this node holds as the authority's key pair. */
  authority: Identity | undefined
  clock: Clock
  /** A member's policy was stored. */
  onPolicy(): void
  logger: Logger
  metrics: Metrics
}

export class Writer {
  readonly changeListeners = new Set<ChangeListener>()
  readonly recordListeners = new Set<RecordListener>()
  readonly #options: WriterOptions
  readonly #turn = new Semaphore(1)
  readonly #book = new RosterBook()
  #rules: Rules
  #authority: Identity | undefined
  #version = 0

  constructor(options: WriterOptions) {
    this.#options = options
    this.#rules = options.rules
    this.#authority = options.authority
  }

  /** The key pair of the authority of now, where it is here. */
  get authority(): Identity | undefined {
    return this.#authorityUnder(this.#rules)
  }

  /** The key that this node holds as the authority's: it counts while it is. */
  use(authority: Identity | undefined): void {
    this.#authority = authority
  }

  #authorityUnder(rules: Rules): Identity | undefined {
    const key = this.#authority
    return key !== undefined && rules.isAuthority(key.publicKey) ? key : undefined
  }

  /** Reads who belongs to the cluster; before anything else is asked of it. */
  async open(): Promise<void> {
    for (const kind of rosterLetters) {
      const range = { gte: recordAt(kind), lt: recordAt(kind + end) }
      for await (const entry of this.#options.db.keys(range)) {
        const record = this.#options.records.read(entry.slice(recordAt('').length))
        if (record !== undefined) this.#book.put(record)
      }
    }
    this.#rules = this.#rules.among(this.#book.roster(this.#rules))
  }

  /** The policy that counts now. Inside `run` it stands still. */
  get rules(): Rules {
    return this.#rules
  }

  /** Changes whenever something was stored. */
  get version(): number {
    return this.#version
  }

  /** Runs `work` alone; what it gathered is stored when it returns, and nothing (since its last flush) when it throws. */
  run<T>(work: (write: Write) => Promise<T>, options: { sync: boolean }): Promise<T> {
    return this.#turn.run(async () => {
      const { db, records, fingerprints } = this.#options
      const write = new Write({
        newDraft: () => new Draft(db, records, fingerprints),
        // An immutable tag is sealed before it is stored, so that what a sealer has shown it stands by.
        settle: (record) => this.sealOf(record, this.#rules),
        stored: (done) => this.#tell(done),
      })
      const result = await work(write)
      await write.flush(options)
      return result
    })
  }

  /** The roster as it would be under other rules. */
  rosterUnder(rules: Rules): Roster {
    return this.#book.roster(rules)
  }

  rosterRecords(): SignedRecord[] {
    return this.#book.records()
  }

  /** The authority's copy of another's record: it stands above the original and below whatever is written later. */
  adopt(record: SignedRecord): SignedRecord {
    const { authority } = this
    if (authority === undefined) throw new Error('only the node with the authority key adopts')
    const body: RecordBody = { ...record.body, time: tick(record.body.time), origin: authorOf(record) }
    return signRecord(body, authority)
  }

  /** The same statement with the time of now, where the key of who made it is here. */
  signAnew(record: SignedRecord): SignedRecord | undefined {
    const { author } = (record.sealed?.original ?? record).envelope
    const { identity, clock } = this.#options
    const key = [identity, this.authority].find(
      (known) => known !== undefined && sameBytes(known.publicKey, author),
    )
    return key && signRecord({ ...record.body, time: stamp(clock.now(), undefined) }, key)
  }

  /** The seal of an immutable tag that has none which counts under `rules`, where this node may seal. */
  sealOf(record: SignedRecord, rules: Rules): SignedRecord | undefined {
    const sealer = this.#sealerUnder(rules)
    if (sealer === undefined || !needsSeal(record, rules)) return undefined
    return sealRecord(record, sealTimeOf(record, rules) ?? this.#options.clock.now(), sealer)
  }

  /** Whether `sealOf` would give one. */
  maySeal(record: SignedRecord, rules: Rules): boolean {
    return this.#sealerUnder(rules) !== undefined && needsSeal(record, rules)
  }

  /** The authority's key before this node's own: what it sealed counts under every policy. */
  #sealerUnder(rules: Rules): Identity | undefined {
    const { identity } = this.#options
    return this.#authorityUnder(rules) ?? (rules.isSealer(identity.publicKey) ? identity : undefined)
  }

  /** Waits until everything that was asked for before is stored. */
  async idle(): Promise<void> {
    await this.#turn.run(async () => undefined)
  }

  #tell({ changes, own, received }: Stored): void {
    this.#version++
    this.#follow(own.concat(received), changes)
    this.#count(own, 'here')
    this.#count(received, 'member')
    if (received.some(({ key }) => key.kind === 'policy')) this.#options.onPolicy()
    if (changes.length > 0) for (const listener of this.changeListeners) this.#call(() => listener(changes))
    for (const group of [own, received]) {
      const records = group.map(({ envelope }) => envelope.bytes)
      if (records.length === 0) continue
      for (const listener of this.recordListeners) this.#call(() => listener(records, { own: group === own }))
    }
  }

  /** What was stored may change who may write, and who is a member. */
  #follow(records: SignedRecord[], changes: ChangedKey[]): void {
    for (const record of records) {
      if (record.body.kind === 'policy') this.#rules = this.#rules.with(record.body.value)
      else if (isOfRoster(record.key)) this.#book.put(record)
    }
    for (const key of changes)
      if (isOfRoster(key) && key.kind !== 'policy' && key.deleted) this.#book.drop(key)
    if (changes.some((key) => key.kind === 'policy' || isOfRoster(key)))
      this.#rules = this.#rules.among(this.#book.roster(this.#rules))
  }

  #count(records: SignedRecord[], from: 'here' | 'member'): void {
    for (const { key } of records) {
      this.#options.metrics.count('shoal_records_stored_total', { kind: key.kind, from })
    }
  }

  /** What is stored is stored: a listener that throws must not make its writer believe otherwise. */
  #call(listener: () => void): void {
    try {
      listener()
    } catch (error) {
      this.#options.logger.error({ err: error }, 'a listener for changed records failed')
    }
  }
}

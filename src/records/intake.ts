/**
 * How much of others' records a node takes in a time. What exceeds it waits: it counts as not seen yet, is not passed on, and
 * is offered again by reconciliation, so budgets delay what a node shows and never decide it.
 *
 * Identities cost nothing, so no budget is an author's own. All authors that have had no record here for an hour share one;
 * those that have share another, fairly; those that the policy names share a larger third. Large records have budgets
 * apart, so that a few of them do not keep the small ones waiting. What somebody here asked for by name is not counted.
 */
import { type Clock, FairBudget, type Logger } from '../base/base.ts'
import { peerIdOf } from '../wire/wire.ts'
import type { Draft } from './draft.ts'
import { keyText, type RecordKey, type SignedRecord } from './record.ts'
import type { Rules } from './rules.ts'
import { authorAt, type Database, positionOf } from './storage.ts'

const mebibyte = 1024 * 1024
const kibibyte = 1024

/** In bytes of signed records. The bursts hold an import of 100,000 tags with their manifests. */
const allowances = {
  tag: { burst: 96 * mebibyte, perSecond: 64 * kibibyte },
  manifest: { burst: 96 * mebibyte, perSecond: 64 * kibibyte },
  account: { burst: 16 * mebibyte, perSecond: 8 * kibibyte },
  large: { burst: 16 * mebibyte, perSecond: 4 * kibibyte },
}
const namedFactor = 4
const largeBytes = 4 * kibibyte
/** What a record costs beside its own bytes: its index entries. */
const indexBytes = 256
const newForMs = 60 * 60_000
const maxAuthors = 10_000
const maxDelayed = 50_000
const bucketDigits = 2
const warnEveryMs = 10 * 60_000

type Size = keyof typeof allowances

interface Delayed {
  /** Of the signed record. */
  hash: Uint8Array
  bytes: number
  author: string
  size: Size
  budget: FairBudget
  /** By which it shares the budget. */
  name: string
}

export interface IntakeOptions {
  db: Database
  /** The public key of this node, whose records are always taken, as the authority's are. */
  own: Uint8Array
  clock: Clock
  /** Milliseconds from any start, never going back. */
  now: () => number
  logger: Logger
}

export class Intake {
  readonly #options: IntakeOptions
  readonly #own: string
  readonly #budgets: Record<'new' | 'known' | 'named', Record<Size, FairBudget>>
  /** When the first record of an author came, as far as it was looked up. */
  readonly #since = new Map<string, number>()
  /** By position: what waits, so that nobody has to send it again for nothing. */
  readonly #delayed = new Map<string, Delayed>()
  /** The same positions by their first digits, since reconciliation asks for parts. */
  readonly #buckets = new Map<string, Set<string>>()
  #warnedMs = Number.NEGATIVE_INFINITY

  constructor(options: IntakeOptions) {
    this.#options = options
    this.#own = hexOf(options.own)
    const { now } = options
    const budgets = (factor: number, shared: { spare?: number } = {}): Record<Size, FairBudget> => {
      const of = ({ burst, perSecond }: { burst: number; perSecond: number }): FairBudget =>
        new FairBudget({ burst: factor * burst, perSecond: factor * perSecond, now, ...shared })
      return {
        tag: of(allowances.tag),
        manifest: of(allowances.manifest),
        account: of(allowances.account),
        large: of(allowances.large),
      }
    }
    // New authors are one name, which has nobody to leave something to.
    this.#budgets = { new: budgets(1, { spare: 0 }), known: budgets(1), named: budgets(namedFactor) }
  }

  /** How many records are known to wait. */
  get waiting(): number {
    return this.#delayed.size
  }

  /** Whether the record may be stored now, which is counted; else it is remembered as waiting. */
  take(record: SignedRecord, rules: Rules): boolean {
    const { key, envelope } = record
    const author = hexOf(envelope.author)
    if (key.kind === 'policy' || author === this.#own || rules.isAuthority(envelope.author)) return true
    const bytes = envelope.bytes.length + indexBytes
    const size: Size = envelope.bytes.length > largeBytes ? 'large' : sizeOf(key)
    const standing = this.#standingOf(envelope.author, author, rules)
    const budget = this.#budgets[standing][size]
    const name = standing === 'new' ? '' : author
    const position = positionOf(keyText(key))
    if (budget.take(name, bytes)) {
      this.#forget(position)
      return true
    }
    if (this.#delayed.size < maxDelayed || this.#delayed.has(position)) {
      const bucket = position.slice(0, bucketDigits)
      this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? new Set()).add(position))
      this.#delayed.set(position, {
        hash: envelope.hash,
        bytes,
        author: peerIdOf(envelope.author),
        size,
        budget,
        name,
      })
    }
    this.#warn()
    return false
  }

  /** Remembers since when the record's author has been writing. */
  learn({ envelope }: SignedRecord, draft: Draft): void {
    const author = hexOf(envelope.author)
    if (this.#sinceOf(author) !== undefined) return
    const now = this.#options.clock.now()
    draft.write(authorAt(author), String(now))
    this.#remember(author, now)
  }

  /** The hash of what waits at a position. */
  delayedAt(position: string): Uint8Array | undefined {
    return this.#delayed.get(position)?.hash
  }

  /** Positions under `prefix` at which something waits, in order, with its hash. */
  delayedUnder(prefix: string): { position: string; hash: Uint8Array }[] {
    const buckets =
      prefix.length >= bucketDigits
        ? [this.#buckets.get(prefix.slice(0, bucketDigits)) ?? []]
        : [...this.#buckets].filter(([digits]) => digits.startsWith(prefix)).map(([, bucket]) => bucket)
    return buckets
      .flatMap((bucket) => [...bucket])
      .filter((position) => position.startsWith(prefix))
      .sort()
      .flatMap((position) => {
        const hash = this.delayedAt(position)
        return hash === undefined ? [] : { position, hash }
      })
  }

  /** Forgets as waiting what may be taken now, so that it is sent again: the longest waiting first. */
  release(): void {
    const released = new Map<FairBudget, number>()
    for (const [position, { budget, bytes, name }] of this.#delayed) {
      const before = released.get(budget) ?? 0
      if (budget.leftFor(name) <= before) continue
      this.#forget(position)
      released.set(budget, before + bytes)
    }
  }

  #forget(position: string): void {
    if (!this.#delayed.delete(position)) return
    const bucket = position.slice(0, bucketDigits)
    const others = this.#buckets.get(bucket)
    others?.delete(position)
    if (others?.size === 0) this.#buckets.delete(bucket)
  }

  #standingOf(publicKey: Uint8Array, author: string, rules: Rules): 'new' | 'known' | 'named' {
    if (rules.names(publicKey)) return 'named'
    const since = this.#sinceOf(author)
    // A clock that was set back makes nobody new again.
    return since === undefined || Math.abs(this.#options.clock.now() - since) < newForMs ? 'new' : 'known'
  }

  #sinceOf(author: string): number | undefined {
    const known = this.#since.get(author)
    if (known !== undefined) return known
    const stored: string | undefined = this.#options.db.getSync<string, string>(authorAt(author), {})
    if (stored === undefined) return undefined
    this.#remember(author, Number(stored))
    return Number(stored)
  }

  #remember(author: string, ms: number): void {
    if (this.#since.size >= maxAuthors) this.#since.clear()
    this.#since.set(author, ms)
  }

  #warn(): void {
    const { now, logger } = this.#options
    if (now() - this.#warnedMs < warnEveryMs) return
    this.#warnedMs = now()
    const [first] = [...this.#delayed.values()].slice(-1)
    logger.warn(
      { author: first?.author, size: first?.size },
      'others write records faster than this node takes them: what exceeds it waits; shoal policy ban AUTHOR --drop removes who floods the cluster',
    )
  }
}

/** What is about people and nodes is little, and counted together. */
function sizeOf({ kind }: RecordKey): Size {
  return kind === 'tag' || kind === 'manifest' ? kind : 'account'
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

/**
 * Records from peers: each is judged by itself, cheapest question first. All but those that stand here already are verified,
 * also what changes nothing: a message that is passed on for one record is passed on with all others in it.
 *
 * A refusal carries blame when no honest node would have handed the record on. Refusals by policy carry none, as the peer
 * may not have that policy yet; nor do those by time: it may be the peer's clock that is wrong, or was, or this node's.
 */
import { breather, type Clock, type Metrics } from '../base/base.ts'
import { BadSignatureError, MalformedError, type Verifier } from '../wire/wire.ts'
import type { AuthorityMemory } from './authority-memory.ts'
import { Draft } from './draft.ts'
import type { Fingerprints } from './fingerprints.ts'
import type { Intake } from './intake.ts'
import { beats } from './order.ts'
import { decodeRecord, keyText, type RecordKey, type SignedRecord, sameBytes } from './record.ts'
import type { Retention } from './retention.ts'
import type { Rules } from './rules.ts'
import { type Database, policySeenAt } from './storage.ts'
import { proveRecord, type StoredRecords, verifyRecord } from './stored.ts'
import { type Handover, judgeChains } from './succession.ts'
import { isAhead } from './time.ts'
import type { Write } from './write.ts'
import type { Writer } from './writer.ts'

export type Refusal = 'malformed' | 'signature' | 'forged' | 'ahead' | 'policy' | 'expired' | 'delayed'

export interface ApplyReport {
  /** How many became current. */
  applied: number
  /** How many were the same as, or lost to, what stands. */
  known: number
  /** The keys of those that lost: whoever sent them lacks what stands. */
  beaten: string[]
  refused: Partial<Record<Refusal, number>>
  /** Of those that have to wait (intake.ts). */
  delayedBytes: number
  /** What no honest node hands on: penalise the peer. Nothing after the slice it was found in was looked at. */
  blame: Refusal | undefined
}

type Wanted = (key: RecordKey) => boolean

export interface ApplyOptions {
  signal?: AbortSignal
  wanted?: Wanted
  /** They were given to this node alone, which is to tell the others. */
  isOwn?: boolean
}

/** `known`: the same bytes stand. `beaten`: others stand above it. */
type Verdict = Refusal | 'known' | 'beaten'

interface InflowOptions {
  db: Database
  records: StoredRecords
  fingerprints: Fingerprints
  writer: Writer
  verifier: Verifier
  retention: Retention
  intake: Intake
  memory: AuthorityMemory
  /** Two policies whose signatures are right go on from one key to different ones; `loser` does not stand. */
  onContest(loser: SignedRecord): Promise<void>
  clock: Clock
  steady: Clock
  metrics: Metrics
}

const blamed: ReadonlySet<Refusal> = new Set(['malformed', 'signature', 'forged'])
/** So many are verified at once and stored as one batch. */
const sliceLength = 128

export class Inflow {
  readonly #options: InflowOptions

  constructor(options: InflowOptions) {
    this.#options = options
  }

  async apply(
    records: Uint8Array[],
    { signal, wanted = () => false, isOwn = false }: ApplyOptions = {},
  ): Promise<ApplyReport> {
    const report: ApplyReport = {
      applied: 0,
      known: 0,
      beaten: [],
      refused: {},
      delayedBytes: 0,
      blame: undefined,
    }
    for (let from = 0; from < records.length && report.blame === undefined; from += sliceLength) {
      signal?.throwIfAborted()
      const decoded = await this.#decode(records.slice(from, from + sliceLength), report)
      for (const rank of ranks) {
        const ranked = decoded.filter(({ key }) => rankOf(key) === rank)
        if (ranked.length > 0) await this.#applySlice(ranked, report, { wanted, isOwn })
      }
    }
    return report
  }

  async #decode(slice: Uint8Array[], report: ApplyReport): Promise<SignedRecord[]> {
    const decoded: SignedRecord[] = []
    const breathe = breather()
    for (const bytes of slice) {
      try {
        decoded.push(decodeRecord(bytes))
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error
        this.#refuse(report, 'malformed')
      }
      await breathe()
    }
    return decoded
  }

  async #applySlice(
    slice: SignedRecord[],
    report: ApplyReport,
    { wanted, isOwn }: { wanted: Wanted; isOwn: boolean },
  ): Promise<void> {
    const { db, records, fingerprints, intake, writer } = this.#options
    const names = slice.map(({ key }) => keyText(key))
    const reading = new Draft(db, records, fingerprints)
    const { version } = writer
    await reading.prefetch(names)
    const news = slice.filter((record, index) => {
      const verdict = judgeAlone(record, reading.findBytes(names[index] ?? ''), writer.rules)
      this.#note(report, record, verdict)
      return verdict === undefined
    })
    const verified = await this.#verify(news, report)
    for (const record of verified) await this.#contest(record, reading)
    const right = verified.filter((record) => {
      const verdict = this.#judge(record, reading, keyText(record.key), writer.rules)
      const isDelayed = verdict === undefined && !wanted(record.key) && !intake.take(record, writer.rules)
      if (isDelayed) report.delayedBytes += record.envelope.bytes.length
      this.#note(report, record, isDelayed ? 'delayed' : verdict)
      return verdict === undefined && !isDelayed
    })
    if (right.length === 0) return
    await writer.run(
      async (write) => {
        // Most often nothing else was stored since, and what was read then is still so.
        if (writer.version === version) write.draft.reuse(reading)
        else await write.draft.prefetch(names)
        await this.#store(write, right, report, isOwn)
      },
      // Nobody else has it yet.
      { sync: isOwn },
    )
  }

  /** `undefined` when it would become current. */
  #judge(record: SignedRecord, draft: Draft, name: string, rules: Rules): Verdict | undefined {
    const alone = judgeAlone(record, draft.findBytes(name), rules)
    if (alone !== undefined) return alone
    const standing = draft.find(name)
    const { clock, retention } = this.#options
    if (record.body.kind === 'policy') {
      if (!this.#mayGovern(record, standing, rules)) return 'beaten'
      return isAhead(record.body.time, clock.now()) ? 'ahead' : undefined
    }
    if (standing !== undefined && !beats(record, standing, rules) && !rights(record, standing, rules))
      return 'beaten'
    if (rules.refusalOf(record) !== undefined) return 'policy'
    if (isAhead(record.body.time, clock.now())) return 'ahead'
    if (standing === undefined && retention.isExpired(record)) return 'expired'
    return undefined
  }

  /** By who its authority is, and of the same one's by its time. */
  #mayGovern(record: SignedRecord, standing: SignedRecord | undefined, rules: Rules): boolean {
    const { stands } = judgeChains(handoversOf(record), handoversOf(standing), this.#options.memory)
    if (stands !== 'equal') return stands === 'candidate'
    return standing === undefined || beats(record, standing, rules)
  }

  /** An authority that was handed over twice is told of, whichever stands. */
  async #contest(record: SignedRecord, reading: Draft): Promise<void> {
    const standing = record.key.kind === 'policy' ? reading.find(keyText(record.key)) : undefined
    if (standing === undefined) return
    const verdict = judgeChains(handoversOf(record), handoversOf(standing), this.#options.memory)
    if (verdict.divergesAt === undefined) return
    await this.#options.onContest(verdict.stands === 'candidate' ? standing : record)
  }

  async #verify(candidates: SignedRecord[], report: ApplyReport): Promise<SignedRecord[]> {
    const { verifier } = this.#options
    const verdicts = await Promise.allSettled(candidates.map((record) => verifyRecord(record, verifier)))
    return candidates.filter((_, index) => {
      const verdict = verdicts[index]
      if (verdict?.status === 'fulfilled') return true
      if (!(verdict?.reason instanceof BadSignatureError)) throw verdict?.reason
      this.#refuse(report, 'signature')
      return false
    })
  }

  /** Other writes came in between, so everything that depends on what stands is asked again. */
  async #store(write: Write, records: SignedRecord[], report: ApplyReport, own: boolean): Promise<void> {
    const { steady, retention, writer } = this.#options
    const breathe = breather()
    for (const record of records) {
      const name = keyText(record.key)
      const verdict = this.#judge(record, write.draft, name, writer.rules)
      const buried = write.draft.findBuried(name)
      if (verdict !== undefined) {
        this.#note(report, record, verdict)
      } else if (buried !== undefined && (await this.#outlives(buried, record, name))) {
        // The peer missed the deletion: bring the tombstone back, and tell everyone.
        retention.revive(name)
        write.accept(buried, { own: true })
        report.known++
      } else {
        if (retention.isExpired(record)) retention.revive(name)
        if (record.key.kind === 'policy') {
          write.draft.write(policySeenAt, String(steady.now()))
          this.#options.memory.learn(record, write.draft)
        }
        this.#options.intake.learn(record, write.draft)
        write.accept(record, { own })
        report.applied++
      }
      await breathe()
    }
  }

  /** What is brought back is spread, and a disk may have changed it. */
  async #outlives(buried: SignedRecord, record: SignedRecord, name: string): Promise<boolean> {
    const { retention, verifier, writer } = this.#options
    if (!retention.outlives(buried, record, writer.rules)) return false
    return (await proveRecord(name, buried.envelope.bytes, verifier)) !== undefined
  }

  #note(report: ApplyReport, { key }: SignedRecord, verdict: Verdict | undefined): void {
    if (verdict === 'beaten') report.beaten.push(keyText(key))
    if (verdict === 'beaten' || verdict === 'known') report.known++
    else if (verdict !== undefined) this.#refuse(report, verdict)
  }

  #refuse(report: ApplyReport, reason: Refusal): void {
    report.refused[reason] = (report.refused[reason] ?? 0) + 1
    if (blamed.has(reason)) report.blame ??= reason
    this.#options.metrics.count('shoal_records_refused_total', { reason })
  }
}

/**
 * Whether the authority's word meets a copy by a key that is none: the losing one of two to which it was handed over, whose copies
 * are of the same times. Of immutable tags the order says what such a copy is worth.
 */
function rights({ key, envelope }: SignedRecord, standing: SignedRecord, rules: Rules): boolean {
  if (!rules.isAuthority(envelope.author) || standing.body.origin === undefined) return false
  return rules.immutable(key) === undefined && rules.standingRefusalOf(standing) !== undefined
}

/** What may permit or refuse others is applied before these: the policy, who the authority says is a member, who was let in. */
const ranks = [0, 1, 2, 3] as const

function rankOf({ kind }: RecordKey): (typeof ranks)[number] {
  if (kind === 'policy') return 0
  if (kind === 'invitation' || kind === 'member') return 1
  return kind === 'admission' ? 2 : 3
}

/** What needs no clock and no policy; the signature comes after it. */
function judgeAlone(
  { key, body, envelope }: SignedRecord,
  standing: Uint8Array | undefined,
  rules: Rules,
): 'known' | 'forged' | undefined {
  if (standing !== undefined && sameBytes(standing, envelope.bytes)) return 'known'
  // A policy says itself from which key on the authority was handed over, so here there is nothing that the peer could have missed.
  const [first] = handoversOf({ body })
  return key.kind === 'policy' && !sameBytes(first?.from ?? envelope.author, rules.root)
    ? 'forged'
    : undefined
}

function handoversOf(record: Pick<SignedRecord, 'body'> | undefined): Handover[] {
  return record?.body.kind === 'policy' ? (record.body.value.handovers ?? []) : []
}

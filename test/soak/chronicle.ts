/** What was asked of the nodes and what befell them: judged by the model after each round, and printed beside a violation. */

import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import type { WriteOf } from '../model/history.ts'
import { History, judge, mustHold, type Read, type Write } from '../model/model.ts'

/** A member that was away hears of everything within that: it has to be found again, and reconciliation waits for its turn. */
const settleMs = 80_000
/** What the clocks of one machine, and a write that takes long, may differ by. */
const clockErrorMs = 500
/** To be printed beside a violation. */
const keptCalls = 6_000

type WriteFacts = {
  [K in Write['kind']]: Omit<Extract<Write, { kind: K }>, 'beginMs' | 'endMs' | 'node' | 'outcome'>
}[Write['kind']]
export type ReadFacts = {
  [K in Read['kind']]: Omit<Extract<Read, { kind: K }>, 'beginMs' | 'endMs' | 'node'>
}[Read['kind']]

export interface Call {
  readonly id: number
  readonly node: number
  readonly task: string
  readonly what: Write | Read
  /** For people. */
  note: string
}

/** A name that a violation is about. */
export interface Name {
  readonly repository: string
  readonly tag?: string
  readonly digest?: string
}

/** What stands when a round begins: the model knows nothing of those before. Nobody has to have what is not held. */
export interface Standing {
  readonly write: WriteFacts
  readonly node: number
  readonly isHeld: boolean
}

export class Chronicle implements AsyncDisposable {
  readonly #file: WriteStream
  readonly #now: () => number
  readonly #size: number
  readonly #calls: Call[] = []
  #history: History
  #reads: (Call & { what: Read })[] = []
  #made = 0

  constructor(file: string, { now, nodes }: { now: () => number; nodes: number }) {
    this.#file = createWriteStream(file)
    this.#now = now
    this.#size = nodes
    this.#history = this.#newHistory(0)
  }

  /** A write that is under way has an unknown outcome. Returns what ends it. */
  beginWrite(
    node: number,
    task: string,
    facts: WriteFacts,
  ): (outcome: Write['outcome'], note?: string) => Call {
    const write: Write = {
      ...facts,
      node: nameOf(node),
      beginMs: this.#now(),
      endMs: Number.POSITIVE_INFINITY,
      outcome: 'unknown',
    }
    const call = this.#note(node, task, write)
    this.#history.add(write)
    return (outcome, note = '') => {
      write.outcome = outcome
      // One whose answer did not come may take effect later.
      if (outcome !== 'unknown') write.endMs = this.#now()
      this.#finish(call, note)
      return call
    }
  }

  /** A write that only its answer told of. */
  addWrite(
    node: number,
    task: string,
    facts: WriteFacts,
    { beginMs, outcome }: Pick<Write, 'beginMs' | 'outcome'>,
  ): void {
    const endMs = outcome === 'unknown' ? Number.POSITIVE_INFINITY : this.#now()
    const write: Write = { ...facts, node: nameOf(node), beginMs, endMs, outcome }
    this.#history.add(write)
    this.#finish(this.#note(node, task, write), '')
  }

  addRead(node: number, task: string, beginMs: number, facts: ReadFacts, note: string): Call {
    const call = this.noteRead(node, task, beginMs, facts, note)
    this.#reads.push(call)
    return call
  }

  /** A read that is not judged, for a reason that the model knows nothing of. */
  noteRead(
    node: number,
    task: string,
    beginMs: number,
    facts: ReadFacts,
    note: string,
  ): Call & { what: Read } {
    const read: Read = { ...facts, node: nameOf(node), beginMs, endMs: this.#now() }
    const call = this.#note(node, task, read)
    this.#finish(call, note)
    return call
  }

  cut(groups: readonly (readonly number[])[]): () => void {
    const [some = [], ...others] = groups
    const heal = this.#history.cut(this.#now(), some.map(nameOf), others.flat().map(nameOf))
    return () => heal(this.#now())
  }

  down(node: number): () => void {
    const up = this.#history.down(this.#now(), nameOf(node))
    return () => up(this.#now())
  }

  /** That node's file of the blob was damaged. */
  lose(node: number, digest: string): void {
    this.#history.lose(this.#now(), nameOf(node), [digest])
  }

  /** Names that were ever pushed in this round, with the digests. */
  get writes(): readonly Write[] {
    return this.#history.writes
  }

  /**
   * The reads since the last time that the model does not allow, in words. With `isSettled` they were made when all was well,
   * and are judged as if as much time had passed since as telling everybody takes.
   */
  judgeReads({ isSettled }: { isSettled: boolean }): { call: Call; wrong: string }[] {
    const reads = this.#reads
    this.#reads = []
    const laterMs = isSettled ? settleMs + 1 : 0
    return reads.flatMap((call) => {
      const { beginMs, endMs } = call.what
      const wrong = judge(this.#history, { ...call.what, beginMs: beginMs + laterMs, endMs: endMs + laterMs })
      return wrong === undefined ? [] : [{ call, wrong }]
    })
  }

  /** Whether all of it has to be there still. */
  isHeld(push: WriteOf<'push'>): boolean {
    return mustHold(this.#history, push, this.#now())
  }

  /** Forgets what was, but what stands; `stepMs` is how far a clock will be from another. */
  beginRound(standing: readonly Standing[], stepMs: number): void {
    this.#calls.splice(0, this.#calls.length - keptCalls)
    this.#history = this.#newHistory(stepMs)
    const ms = this.#now() - 2 * settleMs - 2 * stepMs
    for (const { write, node, isHeld } of standing) {
      // All at once, so that none is later than another.
      this.#history.add({ ...write, node: nameOf(node), beginMs: ms - 1, endMs: ms, outcome: 'acknowledged' })
      if (!isHeld && write.kind === 'push') this.#history.lose(ms, nameOf(node), [write.digest])
    }
  }

  about(name: Name): Call[] {
    return this.#calls.filter(({ what }) => isAbout(what, name))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#file.end()
    await once(this.#file, 'close')
  }

  #newHistory(stepMs: number): History {
    const nodes = Array.from({ length: this.#size }, (_, node) => nameOf(node))
    return new History({ nodes, settleMs, clockErrorMs: clockErrorMs + stepMs })
  }

  #note<W extends Write | Read>(node: number, task: string, what: W): Call & { what: W } {
    const call = { id: this.#made++, node, task, what, note: '' }
    this.#calls.push(call)
    return call
  }

  #finish(call: Call, note: string): void {
    call.note = note
    this.#file.write(`${JSON.stringify(call)}\n`)
  }
}

export function nameOf(node: number): string {
  return `node ${node}`
}

function isAbout(what: Write | Read, { repository, tag, digest }: Name): boolean {
  if (what.repository !== repository) return false
  if (
    tag !== undefined &&
    (('tag' in what && what.tag === tag) || ('tags' in what && what.tags.includes(tag)))
  )
    return true
  if (digest === undefined) return false
  return ('digest' in what && what.digest === digest) || ('blobs' in what && what.blobs.includes(digest))
}

export function printedCall({ id, task, what, note }: Call): string {
  const seconds = (ms: number): string => (Number.isFinite(ms) ? `+${(ms / 1000).toFixed(3)}` : '…')
  const name = [
    what.repository,
    ...('tag' in what ? [`:${what.tag}`] : []),
    ...('tags' in what && what.kind === 'push' ? what.tags.map((tag) => `:${tag}`) : []),
    ...('digest' in what ? [`@${short(what.digest)}`] : []),
  ].join('')
  return [
    `#${id} ${seconds(what.beginMs)} to ${seconds(what.endMs)} ${what.node}, ${task}:`,
    'outcome' in what ? `${what.kind} ${name} ${what.outcome}` : `read ${name} ${answerOf(what)}`,
    ...(note === '' ? [] : [`(${note})`]),
  ].join(' ')
}

function answerOf(read: Read): string {
  if (read.kind === 'list') return read.tags.join(' ')
  return read.answer.is === 'found' ? short(read.answer.digest) : read.answer.is
}

export function short(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12)
}

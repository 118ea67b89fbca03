/** Collects what went wrong, and puts beside each what explains it: the calls on that name and what the nodes said. */
import { type Call, type Chronicle, type Name, nameOf, printedCall } from './chronicle.ts'
import type { LogWatch } from './log-watch.ts'

const shownCalls = 40
const shownLines = 20
const shownLength = 400
const spanMs = 4_000
const maxShown = 25

export interface Violation {
  readonly atMs: number
  readonly what: string
}

export interface RefereeOptions {
  chronicle: Chronicle
  /** In the order of the nodes. */
  logs: readonly LogWatch[]
  now: () => number
  print: (text: string) => void
}

export class Referee {
  readonly violations: Violation[] = []
  readonly #options: RefereeOptions
  /** What differs in numbers alone is shown once. */
  readonly #shown = new Map<string, number>()

  constructor(options: RefereeOptions) {
    this.#options = options
  }

  complain(what: string, { call, name, node }: { call?: Call; name?: Name; node?: number } = {}): void {
    const { now, print } = this.#options
    this.violations.push({ atMs: now(), what })
    const kind = what.replace(/sha256:[0-9a-f]+/g, 'digest').replace(/\d+/g, '0')
    const times = (this.#shown.get(kind) ?? 0) + 1
    this.#shown.set(kind, times)
    if (times > 2 || this.#shown.size > maxShown) return
    print(`VIOLATION +${(now() / 1000).toFixed(3)} ${what}\n${this.#evidence(call, name, node).join('\n')}\n`)
  }

  /** How often each kind came. */
  summary(): string[] {
    return [...this.#shown].map(([kind, times]) => `${times} × ${kind.slice(0, 200)}`)
  }

  #evidence(call: Call | undefined, name: Name | undefined, node: number | undefined): string[] {
    const { chronicle, logs, now } = this.#options
    const about = call === undefined ? name : nameIn(call)
    const calls = about === undefined ? [] : chronicle.about(about).slice(-shownCalls)
    const words = [about?.tag, about?.digest].filter((word) => word !== undefined)
    const atMs = call?.what.beginMs ?? now()
    const here = call?.what.node ?? (node === undefined ? '' : nameOf(node))
    const lines = logs.flatMap((log, index) => {
      const isHere = nameOf(index) === here
      const mark = isHere ? `${here}, this one` : nameOf(index)
      return log
        .around(atMs, spanMs, { words, warnings: isHere })
        .map((line) => `    [${mark}] ${line.slice(0, shownLength)}`)
    })
    return [
      ...(call === undefined ? [] : [`  seen by ${printedCall(call)}`]),
      ...(calls.length === 0
        ? []
        : ['  calls on that name:', ...calls.map((each) => `    ${printedCall(each)}`)]),
      ...(lines.length === 0 ? [] : ['  what the nodes said around it:', ...lines.slice(-shownLines)]),
    ]
  }
}

/** A tag's violation is explained by what was done to the digest that was seen, too. */
function nameIn({ what }: Call): Name {
  const { repository } = what
  const seen = 'answer' in what && what.answer.is === 'found' ? { digest: what.answer.digest } : {}
  return {
    repository,
    ...seen,
    ...('digest' in what ? { digest: what.digest } : {}),
    ...('tag' in what ? { tag: what.tag } : {}),
  }
}

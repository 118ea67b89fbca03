/** One line of the table: what was measured, both sides' samples, and the number to reach. */
import { median } from './statistics.ts'

export type Reach =
  /** Shoal's median over the reference's. */
  | { kind: 'ratio'; atLeast: number }
  | { kind: 'ratio at most'; times: number }
  /** Shoal's median, in the line's unit. */
  | { kind: 'value'; under: number }
  | { kind: 'none' }

export interface Line {
  what: string
  unit: 'MB/s' | 'req/s' | 'push/s' | 'ms' | 'ms/MiB' | 'MiB' | '×' | '/s' | '% of a core'
  /** In turns: sample n of both was taken in the same turn. */
  shoal: number[]
  reference: number[]
  reach: Reach
}

export interface Verdict {
  shoal: number
  reference: number | undefined
  /** Shoal over reference, of the medians, whatever the unit. */
  ratio: number | undefined
  /** The lowest and the highest ratio of one turn. */
  range: [number, number] | undefined
  verdict: 'ok' | 'missed' | ''
}

export function judge(line: Line): Verdict {
  const shoal = median(line.shoal)
  const reference = line.reference.length === 0 ? undefined : median(line.reference)
  const ratio = reference === undefined ? undefined : shoal / reference
  const turns = line.shoal.flatMap((value, turn) => {
    const other = line.reference[turn]
    return other === undefined ? [] : [value / other]
  })
  const range: [number, number] | undefined =
    turns.length === 0 ? undefined : [Math.min(...turns), Math.max(...turns)]
  return { shoal, reference, ratio, range, verdict: verdictOf(line.reach, shoal, ratio) }
}

function verdictOf(reach: Reach, shoal: number, ratio: number | undefined): Verdict['verdict'] {
  switch (reach.kind) {
    case 'ratio':
      return ratio !== undefined && ratio >= reach.atLeast ? 'ok' : 'missed'
    case 'ratio at most':
      return ratio !== undefined && ratio <= reach.times ? 'ok' : 'missed'
    case 'value':
      return shoal < reach.under ? 'ok' : 'missed'
    case 'none':
      return ''
  }
}

/** The numbers of one metric: a series for each combination of label values, made when it is first reported. */
import type { MetricDeclaration } from './metric-table.ts'

export type LabelsOf = Readonly<Record<string, string>>

interface Series<T> {
  readonly values: readonly string[]
  readonly cell: T
}

/** Of one metric, whatever is reported. */
const maxSeries = 512
/** Combinations up to this many exist from the start, so that a rate sees their first event. */
const maxZeros = 64

export class MetricSeries<T> {
  readonly names: readonly string[]
  readonly #allowed: readonly (ReadonlySet<string> | undefined)[]
  readonly #make: () => T
  readonly #series = new Map<string, Series<T>>()

  constructor({ labels }: MetricDeclaration, make: () => T) {
    this.names = Object.keys(labels)
    this.#allowed = Object.values(labels).map((values) =>
      values === 'configured' ? undefined : new Set(values),
    )
    this.#make = make
    for (const values of this.#zeros()) this.#at(values)
  }

  /** The cell of these labels. A label that is not declared is left out, a value that is not is `other`. */
  of(labels: LabelsOf): T {
    return this.#at(this.names.map((name, index) => this.#valueOf(labels[name], index)))
  }

  /** Those whose labels include these. */
  *matching(labels: LabelsOf = {}): Generator<Series<T>> {
    for (const series of this.#series.values()) {
      const isWanted = this.names.every(
        (name, index) => (labels[name] ?? series.values[index]) === series.values[index],
      )
      if (isWanted) yield series
    }
  }

  #valueOf(value: string | undefined, index: number): string {
    const allowed = this.#allowed[index]
    if (value === undefined) return 'other'
    return allowed === undefined || allowed.has(value) ? value : 'other'
  }

  #at(values: readonly string[]): T {
    // Neither this node nor its configuration uses values of more than one line.
    const key = values.length === 1 ? (values[0] ?? '') : values.join('\n')
    const known = this.#series.get(key)
    if (known !== undefined) return known.cell
    if (this.#series.size >= maxSeries && values.some((value) => value !== 'other')) {
      return this.#at(values.map(() => 'other'))
    }
    const cell = this.#make()
    this.#series.set(key, { values, cell })
    return cell
  }

  /** None where the values of a label are not known, or where most combinations never happen. */
  #zeros(): string[][] {
    let combinations: string[][] = [[]]
    for (const allowed of this.#allowed) {
      if (allowed === undefined) return []
      combinations = combinations.flatMap((before) => [...allowed].map((value) => [...before, value]))
      if (combinations.length > maxZeros) return []
    }
    return combinations
  }
}

/** Which faults went on when: what excuses an answer that would be wrong on a quiet day. */
import type { FaultKind } from './plan.ts'

interface Spell {
  readonly kind: FaultKind | 'collect'
  /** `undefined` is all of them. */
  readonly node: number | undefined
  readonly beginMs: number
  endMs: number
}

export class Weather {
  readonly #spells: Spell[] = []
  /** All that ever happened. */
  readonly kinds = new Set<FaultKind>()

  /** Resolves nothing and waits for nothing: whoever began it calls what it returns when it is over. */
  begin(kind: Spell['kind'], node: number | undefined, nowMs: number): (endMs: number) => void {
    const spell: Spell = { kind, node, beginMs: nowMs, endMs: Number.POSITIVE_INFINITY }
    this.#spells.push(spell)
    if (kind !== 'collect') this.kinds.add(kind)
    return (endMs) => {
      spell.endMs = endMs
    }
  }

  /** Whether one of these went on at that node (at any, where none is given) at some time between. */
  had(
    kinds: readonly Spell['kind'][],
    { node, beginMs, endMs }: { node?: number; beginMs: number; endMs: number },
  ): boolean {
    return this.#spells.some(
      (spell) =>
        kinds.includes(spell.kind) &&
        (node === undefined || spell.node === undefined || spell.node === node) &&
        spell.beginMs <= endMs &&
        spell.endMs >= beginMs,
    )
  }

  /** What is over before that time excuses nothing any more. */
  forget(beforeMs: number): void {
    const kept = this.#spells.filter(({ endMs }) => endMs >= beforeMs)
    this.#spells.splice(0, this.#spells.length, ...kept)
  }
}

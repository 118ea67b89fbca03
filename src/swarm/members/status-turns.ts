/** Whom of the members a node asks in each turn what they say of themselves: a few, however many there are. */

/** What changes is told at once: a turn makes up for what was missed, and finds members that others know. */
const perTurn = 3

export class StatusTurns {
  /** Whoever was asked longest ago comes first. */
  readonly #members = new Set<string>()
  /** Those that did not answer, or have not been told. */
  readonly #owed = new Set<string>()

  joined(peer: string): void {
    this.#members.add(peer)
  }

  left(peer: string): void {
    this.#members.delete(peer)
    this.#owed.delete(peer)
  }

  asked(peer: string, { hasAnswered }: { hasAnswered: boolean }): void {
    this.#owed.delete(peer)
    if (!this.#members.delete(peer)) return
    this.#members.add(peer)
    if (!hasAnswered) this.#owed.add(peer)
  }

  /** Those that owe an answer take nobody else's turn. */
  next(): string[] {
    return [...new Set([...this.#owed].slice(0, perTurn).concat([...this.#members].slice(0, perTurn)))]
  }
}

/** What a simulated host tells its askers without being asked, and when: of new pieces, as nodes pace it, and that it lives. */
import type { Timeline } from './timeline.ts'

export interface TellingsOptions<Asker> {
  timeline: Timeline
  random: () => number
  /** Rarer, and no signs of life: among thousands nobody watches for silence. */
  isCoarse: boolean
  isAlive(): boolean
  /** It waits for pieces from here, and so is short of nothing. */
  isBusyWith(asker: Asker): boolean
  tell(asker: Asker, blob: string, pieces: number[]): void
  sayAlive(asker: Asker): void
}

interface Telling {
  /** By blob. */
  news: Map<string, number[]>
  isDue: boolean
  toldMs: number
  spokeMs: number
}

// As in src/exchange/seeding/seeder.ts and session.ts.
const tickMs = 50
const soonMs = 20
const messageMs = 25
const pace = { leastMs: 200, mostMs: 400 }
const coarseMs = 100

export class Tellings<Asker> {
  readonly #options: TellingsOptions<Asker>
  readonly #tellings = new Map<Asker, Telling>()

  constructor(options: TellingsOptions<Asker>) {
    this.#options = options
  }

  news(asker: Asker, blob: string, piece: number): void {
    const { timeline, isCoarse, isBusyWith } = this.#options
    const telling = this.#of(asker)
    const pieces = telling.news.get(blob)
    if (pieces === undefined) telling.news.set(blob, [piece])
    else pieces.push(piece)
    if (telling.isDue) return
    telling.isDue = true
    // A busy one is told at a tick.
    if (!isCoarse && isBusyWith(asker)) return
    const dueMs = isCoarse ? coarseMs : Math.max(0, telling.toldMs + soonMs - timeline.now)
    timeline.after(dueMs, () => this.#tell(asker, telling))
  }

  /** The asker heard something. */
  spoke(asker: Asker): void {
    const telling = this.#tellings.get(asker)
    if (telling !== undefined) telling.spokeMs = this.#options.timeline.now
  }

  /** It serves this asker from now on. */
  begin(asker: Asker): void {
    this.#of(asker)
  }

  forget(asker: Asker): void {
    this.#tellings.delete(asker)
  }

  #of(asker: Asker): Telling {
    const known = this.#tellings.get(asker)
    if (known !== undefined) return known
    const { timeline, random, isCoarse } = this.#options
    const telling: Telling = { news: new Map(), isDue: false, toldMs: 0, spokeMs: 0 }
    this.#tellings.set(asker, telling)
    if (!isCoarse) timeline.after(tickMs * random(), () => this.#tick(asker, telling))
    return telling
  }

  #tick(asker: Asker, telling: Telling): void {
    const { timeline, isAlive, isBusyWith, sayAlive } = this.#options
    if (this.#tellings.get(asker) !== telling || !isAlive()) return
    const paceMs = Math.min(pace.mostMs, Math.max(pace.leastMs, messageMs * this.#tellings.size))
    if (telling.isDue && timeline.now - telling.toldMs >= paceMs) this.#tell(asker, telling)
    if (isBusyWith(asker) && timeline.now - telling.spokeMs > paceMs - tickMs) sayAlive(asker)
    timeline.after(tickMs, () => this.#tick(asker, telling))
  }

  #tell(asker: Asker, telling: Telling): void {
    telling.isDue = false
    telling.toldMs = this.#options.timeline.now
    for (const [blob, pieces] of telling.news) this.#options.tell(asker, blob, pieces)
    telling.news.clear()
  }
}

/** What a simulated host tells its downloaders without being asked, and when: of new pieces, as nodes pace it, and that it lives. */
import type { Timeline } from './timeline.ts'

export interface TellingsOptions<Downloader> {
  timeline: Timeline
  random: () => number
  /** Rarer, and no signs of life: among thousands nobody watches for silence. */
  isCoarse: boolean
  isAlive(): boolean
  /** It waits for pieces from here. */
  isBusyWith(downloader: Downloader): boolean
  /** How long news may wait for more, and whoever waits may hear nothing. */
  paceMs(): number
  tell(downloader: Downloader, blob: string, pieces: number[]): void
  sayAlive(downloader: Downloader): void
}

interface Telling {
  /** By blob. */
  news: Map<string, number[]>
  isDue: boolean
  toldMs: number
  spokeMs: number
}

// As in src/exchange/peer/connections.ts and seeding/session.ts.
const tickMs = 50
const hungryMs = 50
const coarseMs = 100

export class Tellings<Downloader> {
  readonly #options: TellingsOptions<Downloader>
  readonly #tellings = new Map<Downloader, Telling>()

  constructor(options: TellingsOptions<Downloader>) {
    this.#options = options
  }

  news(downloader: Downloader, blob: string, piece: number): void {
    const { timeline, isCoarse } = this.#options
    const telling = this.#of(downloader)
    const pieces = telling.news.get(blob)
    if (pieces === undefined) telling.news.set(blob, [piece])
    else pieces.push(piece)
    if (telling.isDue) return
    telling.isDue = true
    // Others are told at a tick.
    if (isCoarse) timeline.after(coarseMs, () => this.#tell(downloader, telling))
  }

  /** The downloader heard something. */
  spoke(downloader: Downloader): void {
    const telling = this.#tellings.get(downloader)
    if (telling !== undefined) telling.spokeMs = this.#options.timeline.now
  }

  /** It serves this downloader from now on. */
  begin(downloader: Downloader): void {
    this.#of(downloader)
  }

  forget(downloader: Downloader): void {
    this.#tellings.delete(downloader)
  }

  #of(downloader: Downloader): Telling {
    const known = this.#tellings.get(downloader)
    if (known !== undefined) return known
    const { timeline, random, isCoarse } = this.#options
    const telling: Telling = { news: new Map(), isDue: false, toldMs: 0, spokeMs: 0 }
    this.#tellings.set(downloader, telling)
    if (!isCoarse) timeline.after(tickMs * random(), () => this.#tick(downloader, telling))
    return telling
  }

  #tick(downloader: Downloader, telling: Telling): void {
    const { timeline, isAlive, isBusyWith, paceMs, sayAlive } = this.#options
    if (this.#tellings.get(downloader) !== telling || !isAlive()) return
    const ms = paceMs()
    const newsMs = isBusyWith(downloader) ? ms : Math.min(ms, hungryMs)
    if (telling.isDue && timeline.now - telling.toldMs >= newsMs) this.#tell(downloader, telling)
    if (isBusyWith(downloader) && timeline.now - telling.spokeMs > ms - tickMs) sayAlive(downloader)
    timeline.after(tickMs, () => this.#tick(downloader, telling))
  }

  #tell(downloader: Downloader, telling: Telling): void {
    telling.isDue = false
    telling.toldMs = this.#options.timeline.now
    for (const [blob, pieces] of telling.news) this.#options.tell(downloader, blob, pieces)
    telling.news.clear()
  }
}

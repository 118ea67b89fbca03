/** The pieces that are being sent, to all downloaders of a node: how many may be, and which of them nobody waits for any more. */
import { Flight } from './flight.ts'
import { ServiceMeter } from './service-meter.ts'
import type { UploadWant } from './upload-events.ts'

export interface Waiting extends UploadWant {
  readonly piece: number
  readonly urgent: boolean
}

export interface Sending extends Waiting {
  readonly beganMs: number
  /** Not wanted any more: asked for again, it is sent again. */
  stopped: boolean
  /** It takes too long to be counted among what is on its way, or is too small. */
  overdue: boolean
  readonly isSmall: boolean
  /** To a downloader that has yet to show that pieces arrive there. */
  readonly isToStranger: boolean
}

interface Bounds {
  factor: number
  leastMs: number
  mostMs: number
  atFirstMs: number
}

/** A downloader that is sent away may come back when so many of a piece's usual times have passed. */
const retry: Bounds = { factor: 2, leastMs: 100, mostMs: 5000, atFirstMs: 500 }
/** Who waits hears something about twice while a piece is on its way: more would tell it little, and cost both sides. */
const pace: Bounds = { factor: 0.6, leastMs: 200, mostMs: 800, atFirstMs: 200 }
/** What all of them are told together: 40 messages a second, unless they are very many. */
const messageMs = 25
/** A piece that takes so much longer than usual is not waited for by others. */
const patience: Bounds = { factor: 4, leastMs: 500, mostMs: 10_000, atFirstMs: 1000 }

export class OnTheirWay {
  readonly #flight: Flight
  /** What pieces take, to whomever. */
  readonly #usual = new ServiceMeter()
  /** Also to downloaders that have left. */
  readonly #all = new Set<Sending>()
  #counted = 0
  #toStrangers = 0

  constructor({ least, most }: { least: number; most: number }) {
    this.#flight = new Flight({ least, most })
  }

  get retryAfterMs(): number {
    return this.#bounded(retry)
  }

  /** How long so many downloaders may hear nothing. */
  paceMs(downloaders: number): number {
    return Math.min(pace.mostMs, Math.max(this.#bounded(pace), messageMs * downloaders))
  }

  /** After this time a piece should have arrived. */
  get patienceMs(): number {
    return this.#bounded(patience)
  }

  hasRoom(nowMs: number): boolean {
    return this.#counted < this.#flight.size(nowMs)
  }

  /** Half of the room, so that those who take nothing do not wait in all of it together. */
  hasRoomForStranger(nowMs: number): boolean {
    return this.#toStrangers < Math.ceil(this.#flight.size(nowMs) / 2)
  }

  /** Of those that are waited for. */
  smallOnes(nowMs: number): number {
    const afterMs = nowMs - this.patienceMs
    let count = 0
    for (const { isSmall, beganMs } of this.#all) if (isSmall && beganMs > afterMs) count++
    return count
  }

  begin(
    waiting: Waiting,
    nowMs: number,
    { isSmall, isToStranger }: Pick<Sending, 'isSmall' | 'isToStranger'>,
  ): Sending {
    const sending = {
      ...waiting,
      beganMs: nowMs,
      stopped: false,
      overdue: isSmall,
      isSmall,
      isToStranger,
    }
    this.#all.add(sending)
    if (isSmall) return sending
    this.#counted++
    if (isToStranger) this.#toStrangers++
    this.#flight.begin(nowMs)
    return sending
  }

  /** The piece arrived or was stopped; `undefined` when it was never sent. */
  end(name: UploadWant & { piece: number }, nowMs: number): Sending | undefined {
    const over = this.#find(name)
    if (over === undefined) return undefined
    this.#all.delete(over)
    if (!over.overdue) this.#uncount(over)
    if (over.isSmall) return over
    // What was stopped says nothing of the way, nor does what is small.
    this.#flight.end(over.beganMs, nowMs, { arrived: !over.stopped })
    if (!over.stopped) this.#usual.add(1, nowMs - over.beganMs)
    return over
  }

  /** What takes far longer than usual keeps no slot from others. */
  tick(nowMs: number): void {
    const beforeMs = nowMs - this.patienceMs
    for (const sending of this.#all) {
      if (sending.overdue || sending.beganMs > beforeMs) continue
      sending.overdue = true
      this.#uncount(sending)
    }
  }

  #uncount({ isToStranger }: Sending): void {
    this.#counted--
    if (isToStranger) this.#toStrangers--
  }

  #find(name: UploadWant & { piece: number }): Sending | undefined {
    let found: Sending | undefined
    for (const sending of this.#all) {
      if (sending.piece !== name.piece || sending.downloader !== name.downloader || !isOf(sending, name))
        continue
      // One that was stopped is over before the one that was asked for again.
      found ??= sending
      if (sending.stopped) return sending
    }
    return found
  }

  #bounded({ factor, leastMs, mostMs, atFirstMs }: Bounds): number {
    const usualMs = this.#usual.p90Ms
    if (usualMs === undefined) return atFirstMs
    return Math.round(Math.min(mostMs, Math.max(leastMs, usualMs * factor)))
  }
}

/** Whether it was asked for by this want, of the same downloader. */
export function isOf(waiting: UploadWant, { blob, want }: UploadWant): boolean {
  return waiting.blob === blob && waiting.want === want
}

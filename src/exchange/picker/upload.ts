/**
 * The seeder's side, for all blobs and downloaders (askers) of a node: whose request is served next, and with what.
 *
 * Askers take turns, whatever blob they ask for. Each gets what was handed out least among what it asks for. While a node that
 * has a whole blob still has pieces that nobody got, an asker of one that another asker was given is sent to those instead: so
 * the first copy leaves the uplink once, and the askers have something to exchange. A node that brings the blob from outside
 * does the same with what it has so far, also when there is nothing to take instead yet. What is on its way far longer than is
 * usual is not waited for, and until it arrives its asker comes after all others.
 *
 * Pure: give it every event with the time and carry out the actions, in order. Memory is bounded by askers × queued requests,
 * and by the pieces of the blobs that are asked for.
 */
import { HandedOut } from './handed-out.ts'
import { isOf, OnTheirWay, type Waiting } from './on-their-way.ts'
import { whoGivesWay } from './places.ts'
import { nextTurn } from './turns.ts'
import { UploadAsker } from './upload-asker.ts'
import {
  defaultUploadLimits,
  type UploadAction,
  type UploadEvent,
  type UploadLimits,
  type UploadWant,
} from './upload-events.ts'

const suggestedPieces = 4

export class Upload {
  readonly #limits: UploadLimits
  /** In the order of their turns. */
  readonly #askers = new Map<string, UploadAsker>()
  readonly #blobs = new Map<string, HandedOut>()
  readonly #onTheirWay: OnTheirWay
  #actions: UploadAction[] = []

  constructor(limits: Partial<UploadLimits> = {}) {
    this.#limits = { ...defaultUploadLimits, ...limits }
    this.#onTheirWay = new OnTheirWay({ least: this.#limits.slots, most: this.#limits.maxSlots })
  }

  /** Whether anything is being sent to the asker, or waits to be: it is told `alive` when nothing else is. */
  isBusyWith(asker: string): boolean {
    return this.#askers.get(asker)?.isBusy === true
  }

  /** Whom it knows to ask for this blob. */
  askersOf(blob: string): string[] {
    return [...(this.#blobs.get(blob)?.askers ?? [])]
  }

  handle(event: UploadEvent, nowMs: number): UploadAction[] {
    this.#actions = []
    if (event.type === 'wake') {
      this.#onTheirWay.tick(nowMs)
      this.#serve(nowMs)
      return this.#actions
    }
    const asker = this.#askers.get(event.asker)
    if (event.type === 'want') this.#want(event, nowMs)
    else if (event.type === 'sent') this.#sent(asker, event, nowMs)
    else if (event.type === 'left') this.#left(event.asker, nowMs)
    else if (asker !== undefined) {
      if (event.type === 'request') this.#request(asker, event, nowMs)
      else if (event.type === 'done') this.#done(asker, event, nowMs)
      else this.#drop(asker, (waiting) => isOf(waiting, event) && event.pieces.includes(waiting.piece))
    }
    this.#serve(nowMs)
    return this.#actions
  }

  #want(event: UploadEvent & { type: 'want' }, nowMs: number): void {
    const { asker: id, blob, want, held, isOrigin = false, knownMs = 0 } = event
    if (!this.#makesPlace(id, blob, knownMs, nowMs)) {
      this.#busy(event)
      return
    }
    const { slotsPerAsker: least, maxSlots: most } = this.#limits
    const asker = this.#askers.get(id) ?? new UploadAsker(id, { knownMs, nowMs, least, most })
    this.#askers.set(id, asker)
    asker.wants.set(blob, (asker.wants.get(blob) ?? new Set()).add(want))
    const handed = this.#blobs.get(blob) ?? new HandedOut(held)
    this.#blobs.set(blob, handed)
    handed.isOrigin = isOrigin
    handed.seat(id)
  }

  /** Whether there is a place for it among all askers and among those of the blob, if need be those of others. */
  #makesPlace(id: string, blob: string, knownMs: number, nowMs: number): boolean {
    const { maxAskers, maxAskersOfBlob } = this.#limits
    const leaving: [UploadAsker, blobs: string[]][] = []
    const handed = this.#blobs.get(blob)
    if (handed !== undefined && !handed.askers.has(id) && handed.askers.size >= maxAskersOfBlob) {
      const found = this.#whoGivesWay(handed.askers, { id, knownMs, handed, nowMs })
      if (found === undefined) return false
      leaving.push([found, [blob]])
    }
    if (!this.#askers.has(id) && this.#askers.size >= maxAskers) {
      const found = this.#whoGivesWay(this.#askers.keys(), { id, knownMs, nowMs })
      if (found === undefined) return false
      leaving.push([found, [...found.wants.keys()]])
    }
    for (const [asker, blobs] of leaving) for (const each of blobs) this.#unseat(asker, each, nowMs)
    return true
  }

  #whoGivesWay(
    ids: Iterable<string>,
    comer: { id: string; knownMs: number; handed?: HandedOut; nowMs: number },
  ): UploadAsker | undefined {
    const { handed, knownMs } = comer
    const beforeMs = comer.nowMs - this.#onTheirWay.patienceMs
    const placed = [...ids].flatMap((id) => {
      const asker = this.#askers.get(id)
      if (asker === undefined) return []
      const given = handed === undefined ? asker.given : (handed.given(id) ?? 0)
      return [{ asker, knownMs: asker.knownMs, given, isIdle: asker.isIdleSince(beforeMs) }]
    })
    const copy = handed === undefined ? {} : { copy: handed.held.count }
    return whoGivesWay(placed, { knownMs, given: handed?.given(comer.id) }, copy)?.asker
  }

  /** It is told to come again, and passes on what it got. */
  #unseat(asker: UploadAsker, blob: string, nowMs: number): void {
    const wants = [...(asker.wants.get(blob) ?? [])]
    this.#blobs.get(blob)?.unseat(asker.id)
    for (const want of wants) {
      this.#done(asker, { asker: asker.id, blob, want }, nowMs)
      this.#busy({ asker: asker.id, blob, want })
    }
  }

  #request(asker: UploadAsker, event: UploadEvent & { type: 'request' }, nowMs: number): void {
    asker.asks(nowMs)
    const { blob, want, pieces, urgent = false } = event
    const handed = this.#blobs.get(blob)
    if (handed === undefined || asker.wants.get(blob)?.has(want) !== true) return
    const asked = { asker: asker.id, blob, want }
    const taken: number[] = []
    for (const piece of pieces) {
      if (!handed.held.has(piece) || asker.knows(asked, piece)) continue
      if (asker.queue.length >= this.#limits.maxQueuedPerAsker) {
        this.#drop(asker, (waiting) => isOf(waiting, asked))
        this.#busy(asked)
        return
      }
      if (this.#isSmall(asker, handed, nowMs)) {
        this.#send(asker, { ...asked, piece, urgent }, nowMs, { isSmall: true })
        continue
      }
      if (!urgent && handed.spreads && handed.isTaken(piece)) taken.push(piece)
      else this.#queue(asker, handed, { ...asked, piece, urgent })
    }
    if (taken.length > 0) this.#later(asker, asked, taken, handed)
  }

  #queue(asker: UploadAsker, handed: HandedOut, waiting: Waiting): void {
    asker.queue.push(waiting)
    handed.queue(waiting.piece)
  }

  #later(asker: UploadAsker, asked: UploadWant, pieces: number[], handed: HandedOut): void {
    const instead = handed.suggest(Math.max(suggestedPieces, pieces.length))
    // With nothing else to offer, it waits here as well as anywhere; unless this uplink is what everyone waits for.
    if (instead.length === 0 && !handed.isOrigin) {
      for (const piece of pieces) this.#queue(asker, handed, { ...asked, piece, urgent: false })
      return
    }
    const { retryAfterMs } = this.#onTheirWay
    this.#actions.push({ type: 'later', ...asked, pieces, instead, retryAfterMs })
  }

  #busy({ asker, blob, want }: UploadWant): void {
    const { retryAfterMs } = this.#onTheirWay
    this.#actions.push({ type: 'busy', asker, blob, want, retryAfterMs })
  }

  /** Forgets what waits and stops what is being sent. */
  #drop(asker: UploadAsker, matches: (waiting: Waiting) => boolean): void {
    asker.queue = asker.queue.filter((waiting) => {
      if (!matches(waiting)) return true
      this.#blobs.get(waiting.blob)?.unqueue(waiting.piece)
      return false
    })
    for (const sending of asker.sending.filter(matches)) {
      const { blob, want, piece } = sending
      if (sending.stopped) continue
      sending.stopped = true
      this.#actions.push({ type: 'stop', asker: asker.id, blob, want, piece })
    }
  }

  #done(asker: UploadAsker, over: UploadWant, nowMs: number): void {
    const { blob, want } = over
    this.#drop(asker, (waiting) => isOf(waiting, over))
    const wants = asker.wants.get(blob)
    wants?.delete(want)
    if (wants !== undefined && wants.size > 0) return
    asker.wants.delete(blob)
    const handed = this.#blobs.get(blob)
    handed?.leave(asker.id, nowMs)
    if (handed?.askers.size === 0) this.#blobs.delete(blob)
    if (asker.wants.size === 0) this.#askers.delete(asker.id)
  }

  #left(id: string, nowMs: number): void {
    const asker = this.#askers.get(id)
    for (const [blob, wants] of [...(asker?.wants ?? [])]) {
      for (const want of [...wants])
        if (asker !== undefined) this.#done(asker, { asker: id, blob, want }, nowMs)
    }
    for (const handed of this.#blobs.values()) handed.forget(id)
  }

  #sent(asker: UploadAsker | undefined, event: UploadEvent & { type: 'sent' }, nowMs: number): void {
    const over = this.#onTheirWay.end(event, nowMs)
    if (over !== undefined) asker?.end(over, nowMs)
  }

  #serve(nowMs: number): void {
    while (this.#onTheirWay.hasRoom(nowMs)) {
      const takesStrangers = this.#onTheirWay.hasRoomForStranger(nowMs)
      const next = nextTurn(this.#askers.values(), this.#blobs, { nowMs, takesStrangers })
      if (next === undefined) return
      const { asker, waiting } = next
      asker.queue.splice(asker.queue.indexOf(waiting), 1)
      this.#blobs.get(waiting.blob)?.unqueue(waiting.piece)
      this.#send(asker, waiting, nowMs)
      // Whoever was served goes to the end of the line.
      this.#askers.delete(asker.id)
      this.#askers.set(asker.id, asker)
    }
  }

  #send(asker: UploadAsker, waiting: Waiting, nowMs: number, { isSmall = false } = {}): void {
    const { blob, want, piece } = waiting
    const sending = this.#onTheirWay.begin(waiting, nowMs, { isSmall, isToStranger: asker.isStranger })
    asker.begin(sending, nowMs)
    this.#blobs.get(blob)?.hand(piece, asker.id, nowMs)
    this.#actions.push({ type: 'send', asker: asker.id, blob, want, piece })
  }

  /** Somebody waits for the whole of it, and it costs those who get pieces next to nothing. */
  #isSmall(asker: UploadAsker, { held }: HandedOut, nowMs: number): boolean {
    if (held.count > 1) return false
    const { smallPerAsker, maxSmall } = this.#limits
    // Whoever does not say that it has them keeps nobody else from being sent some.
    return this.#onTheirWay.smallOnes(nowMs) < maxSmall && asker.smallOnes < smallPerAsker
  }
}

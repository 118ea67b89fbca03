/**
 * The seeder's side, for all blobs and downloaders (askers) of a node: whose request is served next, and with what.
 *
 * Askers take turns, whatever blob they ask for. Each gets what was handed out least among what it asks for. While a node that
 * has a whole blob still has pieces that nobody got, an asker of one that another asker was given is sent to those instead: so
 * the first copy leaves the uplink once, and the askers have something to exchange. A node that brings the blob from outside
 * does the same with what it has so far, also when there is nothing to take instead yet. What is on its way far longer than is
 * usual is not waited for.
 *
 * Pure: give it every event with the time and carry out the actions, in order. Memory is bounded by askers × queued requests,
 * and by the pieces of the blobs that are asked for.
 */
import { Flight } from './flight.ts'
import { HandedOut } from './handed-out.ts'
import { ServiceMeter } from './service-meter.ts'
import {
  defaultUploadLimits,
  type UploadAction,
  type UploadEvent,
  type UploadLimits,
  type UploadWant,
} from './upload-events.ts'

const suggestedPieces = 4
/** An asker that is sent away may come back when so many of a piece's usual times have passed. */
const retry = { factor: 2, leastMs: 100, mostMs: 5000, atFirstMs: 500 }
/** A piece that takes so much longer than usual is not waited for by others. */
const patience = { factor: 4, leastMs: 500, mostMs: 10_000, atFirstMs: 1000 }

interface Waiting extends UploadWant {
  piece: number
  urgent: boolean
}

interface Sending extends Waiting {
  readonly beganMs: number
  /** Not wanted any more: asked for again, it is sent again. */
  stopped: boolean
  /** It takes too long to be counted among what is on its way to all, or is too small. */
  overdue: boolean
  readonly isSmall: boolean
}

interface Asker {
  id: string
  queue: Waiting[]
  sending: Sending[]
  flight: Flight
  /** By blob. */
  wants: Map<string, Set<number | undefined>>
  /** When it last asked for something, or got it. */
  activeMs: number
}

export class Upload {
  readonly #limits: UploadLimits
  /** In the order of their turns. */
  readonly #askers = new Map<string, Asker>()
  readonly #blobs = new Map<string, HandedOut>()
  #actions: UploadAction[] = []
  readonly #flight: Flight
  /** What pieces take, to whomever. */
  readonly #usual = new ServiceMeter()
  /** Also to askers that have left. */
  readonly #sending = new Set<Sending>()
  #counted = 0

  constructor(limits: Partial<UploadLimits> = {}) {
    this.#limits = { ...defaultUploadLimits, ...limits }
    this.#flight = new Flight({ least: this.#limits.slots, most: this.#limits.maxSlots })
  }

  /** Whether anything is being sent to the asker, or waits to be: it is told `alive` when nothing else is. */
  isBusyWith(asker: string): boolean {
    const found = this.#askers.get(asker)
    return found !== undefined && found.queue.length + found.sending.length > 0
  }

  /** Whom it knows to ask for this blob. */
  askersOf(blob: string): string[] {
    return [...(this.#blobs.get(blob)?.askers ?? [])]
  }

  handle(event: UploadEvent, nowMs: number): UploadAction[] {
    this.#actions = []
    if (event.type === 'wake') {
      this.#overdue(nowMs)
      this.#serve(nowMs)
      return this.#actions
    }
    const asker = this.#askers.get(event.asker)
    if (event.type === 'want') this.#want(event, nowMs)
    else if (event.type === 'sent') this.#sent(asker, event, nowMs)
    else if (asker !== undefined) {
      if (event.type === 'request') this.#request(asker, event, nowMs)
      else if (event.type === 'left') this.#left(asker, nowMs)
      else if (event.type === 'done') this.#done(asker, event, nowMs)
      else this.#drop(asker, (waiting) => isOf(waiting, event) && event.pieces.includes(waiting.piece))
    }
    this.#serve(nowMs)
    return this.#actions
  }

  #want(event: UploadEvent & { type: 'want' }, nowMs: number): void {
    const { asker: id, blob, want, held, isOrigin = false } = event
    if (!this.#hasPlace(id, blob, nowMs)) {
      this.#busy(event)
      return
    }
    if (!this.#askers.has(id)) {
      if (this.#askers.size >= this.#limits.maxAskers) {
        this.#busy(event)
        return
      }
      const flight = new Flight({ least: this.#limits.slotsPerAsker, most: this.#limits.maxSlots })
      this.#askers.set(id, { id, queue: [], sending: [], flight, wants: new Map(), activeMs: nowMs })
    }
    const wants = this.#askers.get(id)?.wants
    wants?.set(blob, (wants.get(blob) ?? new Set()).add(want))
    const handed = this.#blobs.get(blob) ?? new HandedOut(held)
    this.#blobs.set(blob, handed)
    handed.isOrigin = isOrigin
    handed.askers.add(id)
  }

  /** Who has asked for nothing for a while makes place for who comes. */
  #hasPlace(id: string, blob: string, nowMs: number): boolean {
    const { askers } = this.#blobs.get(blob) ?? { askers: new Set<string>() }
    if (askers.has(id) || askers.size < this.#limits.maxAskersOfBlob) return true
    const beforeMs = nowMs - bounded(this.#usual.p90Ms, patience)
    for (const other of askers) {
      const asker = this.#askers.get(other)
      if (asker === undefined || asker.queue.length + asker.sending.length > 0) continue
      if (asker.activeMs > beforeMs) continue
      for (const want of [...(asker.wants.get(blob) ?? [])]) {
        this.#done(asker, { asker: other, blob, want }, nowMs)
        this.#busy({ asker: other, blob, want })
      }
      return true
    }
    return false
  }

  #request(asker: Asker, event: UploadEvent & { type: 'request' }, nowMs: number): void {
    asker.activeMs = nowMs
    const { blob, want, pieces, urgent = false } = event
    const handed = this.#blobs.get(blob)
    if (handed === undefined || asker.wants.get(blob)?.has(want) !== true) return
    const asked = { asker: asker.id, blob, want }
    const taken: number[] = []
    for (const piece of pieces) {
      if (!handed.held.has(piece) || isKnown(asker, asked, piece)) continue
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
      else {
        asker.queue.push({ ...asked, piece, urgent })
        handed.queue(piece)
      }
    }
    if (taken.length > 0) this.#later(asker, asked, taken, handed)
  }

  #later(asker: Asker, asked: UploadWant, pieces: number[], handed: HandedOut): void {
    const instead = handed.suggest(Math.max(suggestedPieces, pieces.length))
    // With nothing else to offer, it waits here as well as anywhere; unless this uplink is what everyone waits for.
    if (instead.length === 0 && !handed.isOrigin) {
      for (const piece of pieces) {
        asker.queue.push({ ...asked, piece, urgent: false })
        handed.queue(piece)
      }
      return
    }
    this.#actions.push({ type: 'later', ...asked, pieces, instead, retryAfterMs: this.#retryAfterMs })
  }

  #busy({ asker, blob, want }: UploadWant): void {
    this.#actions.push({ type: 'busy', asker, blob, want, retryAfterMs: this.#retryAfterMs })
  }

  get #retryAfterMs(): number {
    return bounded(this.#usual.p90Ms, retry)
  }

  /** Forgets what waits and stops what is being sent. */
  #drop(asker: Asker, matches: (waiting: Waiting) => boolean): void {
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

  #done(asker: Asker, over: UploadWant, nowMs: number): void {
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

  #left(asker: Asker, nowMs: number): void {
    for (const [blob, wants] of [...asker.wants]) {
      for (const want of [...wants]) this.#done(asker, { asker: asker.id, blob, want }, nowMs)
    }
  }

  #sent(asker: Asker | undefined, event: UploadEvent & { type: 'sent' }, nowMs: number): void {
    const over = this.#find(event)
    if (over === undefined) return
    this.#sending.delete(over)
    if (!over.overdue) this.#counted--
    // What was stopped says nothing of the way, nor does what is small.
    const arrived = !over.stopped
    if (!over.isSmall) this.#flight.end(over.beganMs, nowMs, { arrived })
    if (arrived && !over.isSmall) this.#usual.add(1, nowMs - over.beganMs)
    if (asker === undefined) return
    asker.activeMs = nowMs
    const at = asker.sending.indexOf(over)
    if (at < 0) return
    asker.sending.splice(at, 1)
    if (!over.isSmall) asker.flight.end(over.beganMs, nowMs, { arrived })
  }

  #find(event: UploadEvent & { type: 'sent' }): Sending | undefined {
    let found: Sending | undefined
    for (const sending of this.#sending) {
      if (sending.piece !== event.piece || sending.asker !== event.asker || !isOf(sending, event)) continue
      // One that was stopped is over before the one that was asked for again.
      found ??= sending
      if (sending.stopped) return sending
    }
    return found
  }

  /** What takes far longer than usual keeps no slot from others. */
  #overdue(nowMs: number): void {
    const beforeMs = nowMs - bounded(this.#usual.p90Ms, patience)
    for (const sending of this.#sending) {
      if (sending.overdue || sending.beganMs > beforeMs) continue
      sending.overdue = true
      this.#counted--
    }
  }

  #serve(nowMs: number): void {
    while (this.#counted < this.#flight.size(nowMs)) {
      const next = this.#next(nowMs)
      if (next === undefined) return
      const { asker, waiting } = next
      asker.queue.splice(asker.queue.indexOf(waiting), 1)
      this.#blobs.get(waiting.blob)?.unqueue(waiting.piece)
      this.#send(asker, waiting, nowMs)
      this.#counted++
      this.#flight.begin(nowMs)
      asker.flight.begin(nowMs)
      // Whoever was served goes to the end of the line.
      this.#askers.delete(asker.id)
      this.#askers.set(asker.id, asker)
    }
  }

  #send(asker: Asker, waiting: Waiting, nowMs: number, { isSmall = false } = {}): void {
    const { blob, want, piece } = waiting
    const sending = { ...waiting, beganMs: nowMs, stopped: false, overdue: isSmall, isSmall }
    asker.sending.push(sending)
    this.#sending.add(sending)
    this.#blobs.get(blob)?.hand(piece, asker.id, nowMs)
    this.#actions.push({ type: 'send', asker: asker.id, blob, want, piece })
  }

  /** Somebody waits for the whole of it, and it costs those who get pieces next to nothing. */
  #isSmall({ sending }: Asker, { held }: HandedOut, nowMs: number): boolean {
    if (held.count > 1) return false
    const { smallPerAsker, maxSmall } = this.#limits
    const afterMs = nowMs - bounded(this.#usual.p90Ms, patience)
    let count = 0
    // Whoever does not say that it has them keeps nobody else from being sent some.
    for (const { isSmall, beganMs } of this.#sending) if (isSmall && beganMs > afterMs) count++
    return count < maxSmall && sending.filter(({ isSmall }) => isSmall).length < smallPerAsker
  }

  /** The first in turn; but what nobody has yet goes before what someone passes on. */
  #next(nowMs: number): { asker: Asker; waiting: Waiting } | undefined {
    let second: { asker: Asker; waiting: Waiting } | undefined
    for (const asker of this.#askers.values()) {
      if (asker.queue.length === 0 || onTheirWay(asker) >= asker.flight.size(nowMs)) continue
      const found = this.#leastHanded(asker)
      if (found === undefined) continue
      if (!found.passedOn) return { asker, waiting: found.waiting }
      second ??= { asker, waiting: found.waiting }
    }
    return second
  }

  #leastHanded({ queue }: Asker): { waiting: Waiting; passedOn: boolean } | undefined {
    let best: Waiting | undefined
    let bestTimes = Number.POSITIVE_INFINITY
    for (const waiting of queue) {
      const times = waiting.urgent ? -1 : (this.#blobs.get(waiting.blob)?.times(waiting.piece) ?? 0)
      if (times >= bestTimes) continue
      best = waiting
      bestTimes = times
    }
    if (best === undefined) return undefined
    const isFirst = this.#blobs.get(best.blob)?.isFirst === true
    return { waiting: best, passedOn: isFirst && bestTimes > 0 }
  }
}

function onTheirWay({ sending }: Asker): number {
  let count = 0
  for (const { overdue } of sending) if (!overdue) count++
  return count
}

function isOf(waiting: UploadWant, { blob, want }: UploadWant): boolean {
  return waiting.blob === blob && waiting.want === want
}

function isKnown({ queue, sending }: Asker, asked: UploadWant, piece: number): boolean {
  const same = (waiting: Waiting): boolean => waiting.piece === piece && isOf(waiting, asked)
  return queue.some(same) || sending.some((each) => same(each) && !each.stopped)
}

function bounded(
  usualMs: number | undefined,
  {
    factor,
    leastMs,
    mostMs,
    atFirstMs,
  }: { factor: number; leastMs: number; mostMs: number; atFirstMs: number },
): number {
  if (usualMs === undefined) return atFirstMs
  return Math.round(Math.min(mostMs, Math.max(leastMs, usualMs * factor)))
}

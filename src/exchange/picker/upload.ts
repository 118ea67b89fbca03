/**
 * The seeder's side, for all blobs and downloaders of a node: whose request is served next, and with what.
 *
 * Downloaders take turns, whatever blob they ask for. Each gets what was handed out least among what it asks for. While a node that
 * has a whole blob still has pieces that nobody got, a downloader of one that another downloader was given is sent to those instead: so
 * the first copy leaves the uplink once, and the downloaders have something to exchange. A node that fetches the blob from its origin
 * does the same with what it has so far, also when there is nothing to take instead yet. What is on its way far longer than is
 * usual is not waited for, and until it arrives its downloader comes after all others.
 *
 * Pure: give it every event with the time and carry out the actions, in order. Memory is bounded by downloaders × queued requests,
 * and by the pieces of the blobs that are asked for.
 */
import { HandedOut } from './handed-out.ts'
import { isOf, OnTheirWay, type Waiting } from './on-their-way.ts'
import { whoGivesWay } from './places.ts'
import { nextTurn } from './turns.ts'
import {
  defaultUploadLimits,
  type UploadAction,
  type UploadEvent,
  type UploadLimits,
  type UploadWant,
} from './upload-events.ts'
import { UploadPeer } from './upload-peer.ts'

const suggestedPieces = 4

export class Upload {
  readonly #limits: UploadLimits
  /** In the order of their turns. */
  readonly #downloaders = new Map<string, UploadPeer>()
  readonly #blobs = new Map<string, HandedOut>()
  readonly #onTheirWay: OnTheirWay
  #actions: UploadAction[] = []

  constructor(limits: Partial<UploadLimits> = {}) {
    this.#limits = { ...defaultUploadLimits, ...limits }
    this.#onTheirWay = new OnTheirWay({ least: this.#limits.slots, most: this.#limits.maxSlots })
  }

  /** Whether anything is being sent to the downloader, or waits to be: it is told `alive` when nothing else is. */
  isBusyWith(downloader: string): boolean {
    return this.#downloaders.get(downloader)?.isBusy === true
  }

  /** How long whoever waits for pieces may hear nothing, and news may wait for more. */
  get paceMs(): number {
    return this.#onTheirWay.paceMs(this.#downloaders.size)
  }

  /** Whom it knows to ask for this blob. */
  downloadersOf(blob: string): string[] {
    return [...(this.#blobs.get(blob)?.downloaders ?? [])]
  }

  handle(event: UploadEvent, nowMs: number): UploadAction[] {
    this.#actions = []
    if (event.type === 'wake') {
      this.#onTheirWay.tick(nowMs)
      this.#serve(nowMs)
      return this.#actions
    }
    const downloader = this.#downloaders.get(event.downloader)
    if (event.type === 'want') this.#want(event, nowMs)
    else if (event.type === 'sent') this.#sent(downloader, event, nowMs)
    else if (event.type === 'left') this.#left(event.downloader, nowMs)
    else if (downloader !== undefined) {
      if (event.type === 'request') this.#request(downloader, event, nowMs)
      else if (event.type === 'done') this.#done(downloader, event, nowMs)
      else this.#drop(downloader, (waiting) => isOf(waiting, event) && event.pieces.includes(waiting.piece))
    }
    this.#serve(nowMs)
    return this.#actions
  }

  #want(event: UploadEvent & { type: 'want' }, nowMs: number): void {
    const { downloader: id, blob, want, held, isOrigin = false, knownMs = 0 } = event
    if (!this.#makesPlace(id, blob, knownMs, nowMs)) {
      this.#busy(event)
      return
    }
    const { slotsPerDownloader: least, maxSlots: most } = this.#limits
    const downloader = this.#downloaders.get(id) ?? new UploadPeer(id, { knownMs, nowMs, least, most })
    this.#downloaders.set(id, downloader)
    downloader.wants.set(blob, (downloader.wants.get(blob) ?? new Set()).add(want))
    const handed = this.#blobs.get(blob) ?? new HandedOut(held)
    this.#blobs.set(blob, handed)
    handed.isOrigin = isOrigin
    handed.seat(id)
  }

  /** Whether there is a place for it among all downloaders and among those of the blob, if need be those of others. */
  #makesPlace(id: string, blob: string, knownMs: number, nowMs: number): boolean {
    const { maxDownloaders, maxDownloadersOfBlob } = this.#limits
    const leaving: [UploadPeer, blobs: string[]][] = []
    const handed = this.#blobs.get(blob)
    if (
      handed !== undefined &&
      !handed.downloaders.has(id) &&
      handed.downloaders.size >= maxDownloadersOfBlob
    ) {
      const found = this.#whoGivesWay(handed.downloaders, { id, knownMs, handed, nowMs })
      if (found === undefined) return false
      leaving.push([found, [blob]])
    }
    if (!this.#downloaders.has(id) && this.#downloaders.size >= maxDownloaders) {
      const found = this.#whoGivesWay(this.#downloaders.keys(), { id, knownMs, nowMs })
      if (found === undefined) return false
      leaving.push([found, [...found.wants.keys()]])
    }
    for (const [downloader, blobs] of leaving) for (const each of blobs) this.#unseat(downloader, each, nowMs)
    return true
  }

  #whoGivesWay(
    ids: Iterable<string>,
    comer: { id: string; knownMs: number; handed?: HandedOut; nowMs: number },
  ): UploadPeer | undefined {
    const { handed, knownMs } = comer
    const beforeMs = comer.nowMs - this.#onTheirWay.patienceMs
    const placed = [...ids].flatMap((id) => {
      const downloader = this.#downloaders.get(id)
      if (downloader === undefined) return []
      const given = handed === undefined ? downloader.given : (handed.given(id) ?? 0)
      return [{ downloader, knownMs: downloader.knownMs, given, isIdle: downloader.isIdleSince(beforeMs) }]
    })
    const copy = handed === undefined ? {} : { copy: handed.held.count }
    return whoGivesWay(placed, { knownMs, given: handed?.given(comer.id) }, copy)?.downloader
  }

  /** It is told to come again, and passes on what it got. */
  #unseat(downloader: UploadPeer, blob: string, nowMs: number): void {
    const wants = [...(downloader.wants.get(blob) ?? [])]
    this.#blobs.get(blob)?.unseat(downloader.id)
    for (const want of wants) {
      this.#done(downloader, { downloader: downloader.id, blob, want }, nowMs)
      this.#busy({ downloader: downloader.id, blob, want })
    }
  }

  #request(downloader: UploadPeer, event: UploadEvent & { type: 'request' }, nowMs: number): void {
    downloader.asks(nowMs)
    const { blob, want, pieces, urgent = false } = event
    const handed = this.#blobs.get(blob)
    if (handed === undefined || downloader.wants.get(blob)?.has(want) !== true) return
    const asked = { downloader: downloader.id, blob, want }
    const taken: number[] = []
    for (const piece of pieces) {
      if (!handed.held.has(piece) || downloader.knows(asked, piece)) continue
      if (downloader.queue.length >= this.#limits.maxQueuedPerDownloader) {
        this.#drop(downloader, (waiting) => isOf(waiting, asked))
        this.#busy(asked)
        return
      }
      if (this.#isSmall(downloader, handed, nowMs)) {
        this.#send(downloader, { ...asked, piece, urgent }, nowMs, { isSmall: true })
        continue
      }
      if (!urgent && handed.spreads && handed.isTaken(piece)) taken.push(piece)
      else this.#queue(downloader, handed, { ...asked, piece, urgent })
    }
    if (taken.length > 0) this.#later(downloader, asked, taken, handed)
  }

  #queue(downloader: UploadPeer, handed: HandedOut, waiting: Waiting): void {
    downloader.queue.push(waiting)
    handed.queue(waiting.piece)
  }

  #later(downloader: UploadPeer, asked: UploadWant, pieces: number[], handed: HandedOut): void {
    const instead = handed.suggest(Math.max(suggestedPieces, pieces.length))
    // With nothing else to offer, it waits here as well as anywhere; unless this uplink is what everyone waits for.
    if (instead.length === 0 && !handed.isOrigin) {
      for (const piece of pieces) this.#queue(downloader, handed, { ...asked, piece, urgent: false })
      return
    }
    const { retryAfterMs } = this.#onTheirWay
    this.#actions.push({ type: 'later', ...asked, pieces, instead, retryAfterMs })
  }

  #busy({ downloader, blob, want }: UploadWant): void {
    const { retryAfterMs } = this.#onTheirWay
    this.#actions.push({ type: 'busy', downloader, blob, want, retryAfterMs })
  }

  /** Forgets what waits and stops what is being sent. */
  #drop(downloader: UploadPeer, matches: (waiting: Waiting) => boolean): void {
    downloader.queue = downloader.queue.filter((waiting) => {
      if (!matches(waiting)) return true
      this.#blobs.get(waiting.blob)?.unqueue(waiting.piece)
      return false
    })
    for (const sending of downloader.sending.filter(matches)) {
      const { blob, want, piece } = sending
      if (sending.stopped) continue
      sending.stopped = true
      this.#actions.push({ type: 'stop', downloader: downloader.id, blob, want, piece })
    }
  }

  #done(downloader: UploadPeer, over: UploadWant, nowMs: number): void {
    const { blob, want } = over
    this.#drop(downloader, (waiting) => isOf(waiting, over))
    const wants = downloader.wants.get(blob)
    wants?.delete(want)
    if (wants !== undefined && wants.size > 0) return
    downloader.wants.delete(blob)
    const handed = this.#blobs.get(blob)
    handed?.leave(downloader.id, nowMs)
    if (handed?.downloaders.size === 0) this.#blobs.delete(blob)
    if (downloader.wants.size === 0) this.#downloaders.delete(downloader.id)
  }

  #left(id: string, nowMs: number): void {
    const downloader = this.#downloaders.get(id)
    for (const [blob, wants] of [...(downloader?.wants ?? [])]) {
      for (const want of [...wants])
        if (downloader !== undefined) this.#done(downloader, { downloader: id, blob, want }, nowMs)
    }
    for (const handed of this.#blobs.values()) handed.forget(id)
  }

  #sent(downloader: UploadPeer | undefined, event: UploadEvent & { type: 'sent' }, nowMs: number): void {
    const over = this.#onTheirWay.end(event, nowMs)
    if (over !== undefined) downloader?.end(over, nowMs)
  }

  #serve(nowMs: number): void {
    while (this.#onTheirWay.hasRoom(nowMs)) {
      const takesStrangers = this.#onTheirWay.hasRoomForStranger(nowMs)
      const next = nextTurn(this.#downloaders.values(), this.#blobs, { nowMs, takesStrangers })
      if (next === undefined) return
      const { downloader, waiting } = next
      downloader.queue.splice(downloader.queue.indexOf(waiting), 1)
      this.#blobs.get(waiting.blob)?.unqueue(waiting.piece)
      this.#send(downloader, waiting, nowMs)
      // Whoever was served goes to the end of the line.
      this.#downloaders.delete(downloader.id)
      this.#downloaders.set(downloader.id, downloader)
    }
  }

  #send(downloader: UploadPeer, waiting: Waiting, nowMs: number, { isSmall = false } = {}): void {
    const { blob, want, piece } = waiting
    const sending = this.#onTheirWay.begin(waiting, nowMs, { isSmall, isToStranger: downloader.isStranger })
    downloader.begin(sending, nowMs)
    this.#blobs.get(blob)?.hand(piece, downloader.id, nowMs)
    this.#actions.push({ type: 'send', downloader: downloader.id, blob, want, piece })
  }

  /** Somebody waits for the whole of it, and it costs those who get pieces next to nothing. */
  #isSmall(downloader: UploadPeer, { held }: HandedOut, nowMs: number): boolean {
    if (held.count > 1) return false
    const { smallPerDownloader, maxSmall } = this.#limits
    // Whoever does not say that it has them keeps nobody else from being sent some.
    return this.#onTheirWay.smallOnes(nowMs) < maxSmall && downloader.smallOnes < smallPerDownloader
  }
}

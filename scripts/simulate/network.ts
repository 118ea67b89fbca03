/**
 * Links as queues that serve one frame after the other: a host's uplink, a site's narrow link, a host's downlink. Pieces to one
 * receiver share a lane: they are written into its socket in order, as far as that takes them, and what was written is sent
 * whatever becomes of the piece. The uplink takes turns among the lanes, each of which has no more than a window on its way: its
 * share of the queue before the receiver's link, as TCP finds it. A message waits behind what lies in these queues, and when one is
 * full it may be lost and come later.
 */
import { restFor } from '../../src/exchange/peer/rests.ts'
import type { Timeline } from './timeline.ts'

const burstBytes = 64 * 1024
/** One message of so many is lost where the queue is full, and comes so much later. */
const lossShare = 0.1
const againMs = 250

export class Link {
  readonly bytesPerMs: number
  /** What its queue holds, as a token bucket's of Linux with `burst 64kb latency 100ms` does. */
  readonly queueMs: number
  freeAt = 0
  bytes = 0

  constructor(bitsPerSecond: number) {
    this.bytesPerMs = bitsPerSecond / 8000
    this.queueMs = 100 + burstBytes / this.bytesPerMs
  }

  /** When a frame that comes at `at` has passed. */
  pass(bytes: number, at: number): number {
    this.freeAt = Math.max(at, this.freeAt) + bytes / this.bytesPerMs
    this.bytes += bytes
    return this.freeAt
  }
}

export interface Port {
  readonly up: Link
  readonly down: Link
  /** The site's link to the other sites. */
  readonly site: { index: number; out: Link; in: Link } | undefined
  alive: boolean
  /** When in its rests it looks at what came, 0 to 1. */
  readonly restPhase: number
}

export interface Transfer {
  readonly from: Port
  readonly to: Port
  readonly bytes: number
  /** Not written yet. */
  left: number
  /** A part of it was written. */
  onWritten(): void
  /** So many bytes of it came, the last ones too. */
  onBytes(bytes: number): void
  onArrived(): void
}

interface Frame {
  transfer: Transfer
  bytes: number
  isLast: boolean
}

interface Lane {
  readonly waiting: Transfer[]
  readonly written: Frame[]
  writtenBytes: number
  inFlight: number
}

export interface NetworkOptions {
  timeline: Timeline
  random: () => number
  latencyMs: number
  /** Between sites. */
  farLatencyMs: number
  frameBytes: number
  /** What a socket takes before the network does. */
  socketBytes: number
  /** What of a lane is on its way at once: its share of the receiver's queue, within these. */
  leastWindowBytes: number
  windowBytes: number
  /** Longest that a message waits behind data in one link; default what its queue holds. */
  messageQueueMs?: number
}

/** What a frame costs besides its bytes: headers of TCP, IP, Ethernet and TLS, 4.5 % of full packets. */
export const overhead = 1.045
const messageBytes = 150

export class Network {
  readonly #options: NetworkOptions
  readonly #lanes = new Map<Port, Map<Port, Lane>>()
  readonly #busy = new Set<Port>()
  /** Lanes with something on its way to each. */
  readonly #toward = new Map<Port, number>()

  constructor(options: NetworkOptions) {
    this.#options = options
  }

  message(from: Port, to: Port, deliver: () => void): void {
    const { timeline, random, messageQueueMs } = this.#options
    const { now } = timeline
    const isFull = this.#busy.has(from) && [...(this.#lanes.get(from)?.values() ?? [])].some(isWaiting)
    const waitMs = (link: Link, isFull: boolean): number => {
      const mostMs = messageQueueMs ?? link.queueMs
      if (isFull || link.freeAt - now >= mostMs) return mostMs + (random() < lossShare ? againMs : 0)
      return Math.max(0, link.freeAt - now)
    }
    const upMs = waitMs(from.up, isFull)
    const downMs = waitMs(to.down, false)
    // Messages take their bytes from the data that shares the links.
    from.up.freeAt = Math.max(now, from.up.freeAt) + messageBytes / from.up.bytesPerMs
    timeline.after(this.#untilRead(to, upMs + this.#latency(from, to) + downMs), () => {
      if (to.alive) deliver()
    })
  }

  send(transfer: Transfer): void {
    const lane = this.#laneOf(transfer.from, transfer.to)
    lane.waiting.push(transfer)
    this.#write(lane)
    this.#pump(transfer.from)
  }

  /** What was not written yet is not sent. */
  stop(transfer: Transfer): void {
    const { waiting } = this.#laneOf(transfer.from, transfer.to)
    const at = waiting.indexOf(transfer)
    if (at >= 0) waiting.splice(at, 1)
  }

  #laneOf(from: Port, to: Port): Lane {
    const lanes = this.#lanes.get(from) ?? new Map<Port, Lane>()
    this.#lanes.set(from, lanes)
    const lane = lanes.get(to) ?? { waiting: [], written: [], writtenBytes: 0, inFlight: 0 }
    lanes.set(to, lane)
    return lane
  }

  #latency(from: Port, to: Port): number {
    const { latencyMs, farLatencyMs, random } = this.#options
    return (from.site === to.site ? latencyMs : farLatencyMs) * (0.8 + 0.4 * random())
  }

  #write(lane: Lane): void {
    const { frameBytes, socketBytes } = this.#options
    while (lane.writtenBytes < socketBytes) {
      const transfer = lane.waiting[0]
      if (transfer === undefined) return
      const bytes = Math.min(frameBytes, transfer.left)
      transfer.left -= bytes
      const isLast = transfer.left === 0
      if (isLast) lane.waiting.shift()
      lane.written.push({ transfer, bytes, isLast })
      lane.writtenBytes += bytes
      transfer.onWritten()
    }
  }

  #pump(from: Port): void {
    if (this.#busy.has(from) || !from.alive) return
    const { timeline } = this.#options
    const lanes = this.#lanes.get(from) ?? new Map<Port, Lane>()
    for (const [to, lane] of lanes) {
      if (lane.written.length === 0 || lane.inFlight >= this.#windowTo(to)) continue
      const frame = lane.written.shift()
      if (frame === undefined) continue
      // Its turn is over.
      lanes.delete(to)
      lanes.set(to, lane)
      const { bytes } = frame
      this.#fly(to, lane, bytes)
      this.#busy.add(from)
      timeline.after(from.up.pass(bytes * overhead, timeline.now) - timeline.now, () => {
        this.#busy.delete(from)
        lane.writtenBytes -= bytes
        this.#write(lane)
        this.#left(lane, frame)
        this.#pump(from)
      })
      return
    }
  }

  #left(lane: Lane, { transfer, bytes, isLast }: Frame): void {
    const { timeline } = this.#options
    const { from, to } = transfer
    let at = timeline.now
    if (from.site !== to.site) {
      at = from.site?.out.pass(bytes * overhead, at) ?? at
      at = to.site?.in.pass(bytes * overhead, at) ?? at
    }
    const latency = this.#latency(from, to)
    at = to.down.pass(bytes * overhead, at + latency)
    timeline.after(this.#untilRead(to, at - timeline.now), () => {
      if (to.alive) transfer.onBytes(bytes)
      if (to.alive && isLast) transfer.onArrived()
    })
    timeline.after(at - timeline.now + latency, () => {
      this.#fly(to, lane, -bytes)
      this.#pump(from)
    })
  }

  /** What comes after `ms` lies until the host looks. */
  #untilRead({ down, restPhase }: Port, ms: number): number {
    const restMs = restFor(down.bytesPerMs)
    if (restMs === 0) return ms
    const phaseMs = restPhase * restMs
    const { now } = this.#options.timeline
    return Math.ceil((now + ms - phaseMs) / restMs) * restMs + phaseMs - now
  }

  #fly(to: Port, lane: Lane, bytes: number): void {
    const before = lane.inFlight
    lane.inFlight += bytes
    const change = Number(lane.inFlight > 0) - Number(before > 0)
    if (change !== 0) this.#toward.set(to, (this.#toward.get(to) ?? 0) + change)
  }

  /** Whoever sends to one receiver shares the queue before its link. */
  #windowTo(to: Port): number {
    const { leastWindowBytes, windowBytes } = this.#options
    const share = (to.down.queueMs * to.down.bytesPerMs) / Math.max(1, this.#toward.get(to) ?? 0)
    return Math.min(windowBytes, Math.max(leastWindowBytes, share))
  }
}

function isWaiting({ written, waiting }: Lane): boolean {
  return written.length + waiting.length > 0
}

/**
 * Links as queues that serve one frame after the other: a host's uplink, a site's narrow link, a host's downlink. A sender takes
 * turns among what it sends, and has no more than a window on its way to each receiver.
 */
import type { Timeline } from './timeline.ts'

export class Link {
  readonly bytesPerMs: number
  freeAt = 0
  bytes = 0

  constructor(bitsPerSecond: number) {
    this.bytesPerMs = bitsPerSecond / 8000
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
}

export interface Transfer {
  from: Port
  to: Port
  bytes: number
  left: number
  lane: { inFlight: number }
  /** The last frame has left the sender, or the transfer was stopped. */
  onSent(): void
  /** A frame that is not the last. */
  onBytes(bytes: number): void
  onArrived(): void
}

export interface NetworkOptions {
  timeline: Timeline
  random: () => number
  latencyMs: number
  /** Between sites. */
  farLatencyMs: number
  frameBytes: number
  windowBytes: number
  /** Longest that a message waits behind data in one link: messages and data are not in one queue. */
  messageQueueMs: number
}

/** What a frame costs besides its bytes: headers of TCP, IP, Ethernet and TLS, 4.5 % of full packets. */
export const overhead = 1.045
const messageBytes = 150

export class Network {
  readonly #options: NetworkOptions
  readonly #sending = new Map<Port, Transfer[]>()

  constructor(options: NetworkOptions) {
    this.#options = options
  }

  message(from: Port, to: Port, deliver: () => void): void {
    const { timeline, messageQueueMs } = this.#options
    const { now } = timeline
    const upQueue = Math.min(messageQueueMs, Math.max(0, from.up.freeAt - now))
    const downQueue = Math.min(messageQueueMs, Math.max(0, to.down.freeAt - now))
    // Messages take their bytes from the data that shares the links.
    from.up.freeAt = Math.max(now, from.up.freeAt) + messageBytes / from.up.bytesPerMs
    timeline.after(upQueue + this.#latency(from, to) + downQueue, () => {
      if (to.alive) deliver()
    })
  }

  send(transfer: Transfer): void {
    const { from } = transfer
    const queue = this.#sending.get(from)
    if (queue === undefined) this.#sending.set(from, [transfer])
    else queue.push(transfer)
    this.#pump(from)
  }

  stop(transfer: Transfer): void {
    const queue = this.#sending.get(transfer.from) ?? []
    const at = queue.indexOf(transfer)
    if (at < 0) return
    queue.splice(at, 1)
    transfer.onSent()
  }

  #latency(from: Port, to: Port): number {
    const { latencyMs, farLatencyMs, random } = this.#options
    return (from.site === to.site ? latencyMs : farLatencyMs) * (0.8 + 0.4 * random())
  }

  readonly #busy = new Set<Port>()

  #pump(from: Port): void {
    if (this.#busy.has(from) || !from.alive) return
    const { timeline, frameBytes, windowBytes } = this.#options
    const queue = this.#sending.get(from) ?? []
    const at = queue.findIndex(({ lane }) => lane.inFlight < windowBytes)
    const transfer = queue[at]
    if (transfer === undefined) return
    queue.splice(at, 1)
    const bytes = Math.min(frameBytes, transfer.left)
    transfer.left -= bytes
    transfer.lane.inFlight += bytes
    this.#busy.add(from)
    const leavesAt = from.up.pass(bytes * overhead, timeline.now)
    timeline.after(leavesAt - timeline.now, () => {
      this.#busy.delete(from)
      this.#left(transfer, bytes)
      if (transfer.left > 0 && !queue.includes(transfer)) queue.push(transfer)
      this.#pump(from)
    })
  }

  #left(transfer: Transfer, bytes: number): void {
    const { timeline } = this.#options
    const { from, to } = transfer
    const last = transfer.left === 0
    if (last) transfer.onSent()
    let at = timeline.now
    if (from.site !== to.site) {
      at = from.site?.out.pass(bytes * overhead, at) ?? at
      at = to.site?.in.pass(bytes * overhead, at) ?? at
    }
    const latency = this.#latency(from, to)
    at = to.down.pass(bytes * overhead, at + latency)
    timeline.after(at - timeline.now, () => {
      if (to.alive && last) transfer.onArrived()
      else if (to.alive) transfer.onBytes(bytes)
      timeline.after(latency, () => {
        transfer.lane.inFlight -= bytes
        this.#pump(from)
      })
    })
  }
}

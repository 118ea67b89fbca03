/** What this node asks of one neighbour: its wants, and what comes of them. */
import { type Clock, TokenBucket } from '../../base/base.ts'
import { MalformedError } from '../../wire/wire.ts'
import { type Answer, type Ask, maxWants } from '../protocol/messages.ts'
import type { RawFrame } from '../protocol/raw-frames.ts'
import type { Wanted } from '../protocol/wanted.ts'
import { Want, type WantListener } from './want.ts'

export interface AskingOptions {
  peer: string
  clock: Clock
  /** So much is asked of the peer that a direct connection is worth it. */
  onMuch(): void
  /** Ends the connection. */
  abort(reason: Error): void
}

/** Of a blob that is not over at once on the stream. */
const muchBytes = 1024 * 1024
/** What may come although it was never waited for, before anything was cancelled. */
const firstForgivenBytes = 1024 * 1024
/** What a frame that nobody waits for costs at least, however short it is. */
const strayBytes = 4096
/** `alive`, which seeders say every 200 ms at most. What was said during a minute may come at once when a link had stalled. */
const heartbeatsPerSecond = 20
const heartbeatBurst = 60 * heartbeatsPerSecond
/** While bytes of a frame come, that is told so often. */
const signOfLifeMs = 100

export class Asking {
  readonly peer: string
  readonly #options: AskingOptions
  readonly #wants = new Map<number, Want>()
  readonly #alive: TokenBucket
  #send: ((ask: Ask) => void) | undefined
  #nextId = 0
  #forgivenBytes = firstForgivenBytes
  #toldMs = 0
  #ended = false

  constructor(options: AskingOptions) {
    this.peer = options.peer
    this.#options = options
    const nowMs = options.clock.now()
    this.#alive = new TokenBucket({ bytesPerSecond: heartbeatsPerSecond, burstBytes: heartbeatBurst, nowMs })
  }

  /** How many are open. */
  get wants(): number {
    return this.#wants.size
  }

  get hasEnded(): boolean {
    return this.#ended
  }

  /** Says everything this way from now on, and what was asked before once more: nothing of it was heard. */
  speak(send: (ask: Ask) => void): void {
    this.#send = send
    for (const { id, wanted } of this.#wants.values()) send({ type: 'want', id, ...wanted })
  }

  /** `undefined` when the connection has ended, or has as many as the protocol allows. */
  want(wanted: Wanted, listener: WantListener): Want | undefined {
    if (this.#ended || this.#wants.size >= maxWants) return undefined
    while (this.#wants.has(this.#nextId)) this.#nextId = (this.#nextId + 1) & 0xffff
    const id = this.#nextId
    // Answers to an id that was let go may still be on their way, so it is used again as late as can be.
    this.#nextId = (id + 1) & 0xffff
    const want = new Want({
      id,
      wanted,
      listener,
      send: (ask) => this.#say(ask),
      forgive: (bytes) => {
        this.#forgivenBytes += bytes
      },
      stray: (bytes) => this.#stray(bytes),
      now: () => this.#options.clock.now(),
      onSize: (size) => {
        if (size >= muchBytes) this.#options.onMuch()
      },
    })
    this.#wants.set(id, want)
    this.#say({ type: 'want', id, ...wanted })
    return want
  }

  /** Ends a want, without a further event. */
  release(want: Want): void {
    if (this.#wants.get(want.id) !== want) return
    want.forgetAll()
    this.#wants.delete(want.id)
    this.#say({ type: 'done', id: want.id })
  }

  /** Gives the peer up. */
  abort(reason: Error): void {
    this.#options.abort(reason)
  }

  /** Throws `MALFORMED`. */
  take(answer: Answer | RawFrame): void {
    if (answer.type === 'alive') {
      if (this.#alive.take(1, this.#options.clock.now()) > 0) throw new MalformedError('endless alive')
      this.#live()
      return
    }
    const want = this.#wants.get(answer.id)
    if (want !== undefined) want.receive(answer)
    else this.#stray('bytes' in answer ? answer.bytes.length : 0)
  }

  /** Bytes come, though not necessarily a whole frame: a sign of life, too. */
  moved(): void {
    const nowMs = this.#options.clock.now()
    if (nowMs - this.#toldMs >= signOfLifeMs) this.#live()
  }

  /** Nothing comes any more, which every want is told. */
  end(): void {
    this.#ended = true
    this.#send = undefined
    const wants = [...this.#wants.values()]
    this.#wants.clear()
    for (const want of wants) want.end()
  }

  #live(): void {
    this.#toldMs = this.#options.clock.now()
    for (const want of this.#wants.values()) want.alive()
  }

  #say(ask: Ask): void {
    this.#send?.(ask)
  }

  #stray(bytes: number): void {
    this.#forgivenBytes -= Math.max(bytes, strayBytes)
    if (this.#forgivenBytes < 0) throw new MalformedError('bytes that nobody asked for')
  }
}

/** Where a request's body goes: the session's file, which is made with the first byte, or once the body is too large to be held. */
import type { BodySink } from '../ingest/body.ts'
import type { Ingest } from '../ingest/ingest.ts'

/** Of one body, from its first byte to its last. */
const maxHeldBytes = 64 * 1024
/** Of all bodies; where these hold as much, the next ones go to the disk as they come. */
const maxAllHeldBytes = 8 * 1024 * 1024

/** Memory for bodies that may be held, which all sinks share. */
export interface Held {
  bytes: number
}

export interface SessionSinkOptions {
  open(): Promise<Ingest>
  onProgress(accepted: number): void
  /** Absent: every byte goes to the file. */
  held?: Held | undefined
}

export class SessionSink implements BodySink, Disposable {
  #ingest: Ingest | undefined
  readonly #options: SessionSinkOptions
  /** One room for all of them: a body may come byte by byte. */
  #room = new Uint8Array()
  #heldBytes = 0
  #isWhole = false

  /** Without `ingest`, the session has no byte yet. */
  constructor(ingest: Ingest | undefined, options: SessionSinkOptions) {
    this.#ingest = ingest
    this.#options = options
  }

  get accepted(): number {
    return this.#ingest?.accepted ?? this.#heldBytes
  }

  /** The whole body, where it was small enough to be held; it is nowhere else. */
  get body(): Uint8Array | undefined {
    return this.#isWhole && this.#heldBytes > 0 ? this.#room.subarray(0, this.#heldBytes) : undefined
  }

  begin(): void {
    this.#ingest?.begin()
  }

  async add(chunk: Uint8Array, transfer: boolean): Promise<void> {
    if (chunk.length === 0) return
    if (this.#ingest === undefined && this.#hold(chunk)) return
    const ingest = this.#ingest ?? (await this.#spill())
    const adding = ingest.add(chunk, transfer)
    this.#options.onProgress(ingest.accepted)
    await adding
  }

  whole(): void {
    this.#isWhole = true
  }

  /** What broke off is kept as far as it came. */
  async end(): Promise<void> {
    if (this.#heldBytes > 0 && !this.#isWhole) await this.#spill()
    await this.#ingest?.end()
  }

  [Symbol.dispose](): void {
    this.#letGo()
  }

  #hold(chunk: Uint8Array): boolean {
    const { held } = this.#options
    const bytes = this.#heldBytes + chunk.length
    if (held === undefined || bytes > maxHeldBytes) return false
    if (bytes > this.#room.length && !this.#grow(held, Math.max(bytes, 2 * this.#room.length))) return false
    this.#room.set(chunk, this.#heldBytes)
    this.#heldBytes = bytes
    return true
  }

  #grow(held: Held, size: number): boolean {
    const more = size - this.#room.length
    if (held.bytes + more > maxAllHeldBytes) return false
    held.bytes += more
    const room = new Uint8Array(size)
    room.set(this.#room)
    this.#room = room
    return true
  }

  async #spill(): Promise<Ingest> {
    const ingest = await this.#options.open()
    ingest.begin()
    this.#ingest = ingest
    const bytes = this.#room.subarray(0, this.#heldBytes)
    if (bytes.length > 0) await ingest.add(bytes, false)
    this.#letGo()
    return ingest
  }

  #letGo(): void {
    const { held } = this.#options
    if (held !== undefined) held.bytes -= this.#room.length
    this.#room = new Uint8Array()
    this.#heldBytes = 0
  }
}

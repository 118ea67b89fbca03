/** Where a request's body goes: into memory while the whole upload is small, else to the session's file. */
import type { BodySink } from '../ingest/body.ts'
import type { Ingest } from '../ingest/ingest.ts'
import type { HeldBytes } from './held-bytes.ts'

export interface SessionSinkOptions {
  held: HeldBytes
  /** Before its first byte is held. */
  enter(): Promise<void>
  /** Makes room in memory for the bytes of others, as far as that can be done. */
  makeRoom(): Promise<void>
  /** Makes the session's file. */
  open(): Promise<Ingest>
  onProgress(accepted: number): void
}

export class SessionSink implements BodySink {
  #ingest: Ingest | undefined
  readonly #options: SessionSinkOptions

  /** Without `ingest`, the session has no file yet. */
  constructor(ingest: Ingest | undefined, options: SessionSinkOptions) {
    this.#ingest = ingest
    this.#options = options
  }

  get accepted(): number {
    return this.#ingest?.accepted ?? this.#options.held.length
  }

  begin(): void {
    this.#ingest?.begin()
  }

  async add(chunk: Uint8Array, transfer: boolean): Promise<void> {
    if (chunk.length === 0) return
    if (this.#ingest === undefined && (await this.#hold(chunk))) return
    const ingest = this.#ingest ?? (await this.spill())
    const adding = ingest.add(chunk, transfer)
    this.#options.onProgress(ingest.accepted)
    await adding
  }

  /** What was held goes to the file, and the rest after it. */
  async spill(): Promise<Ingest> {
    const { held, open } = this.#options
    const ingest = await open()
    ingest.begin()
    this.#ingest = ingest
    if (held.length > 0) await ingest.add(held.bytes, false)
    held[Symbol.dispose]()
    return ingest
  }

  /** What broke off is kept as far as it came. */
  async end(): Promise<void> {
    await this.#ingest?.end()
  }

  async #hold(chunk: Uint8Array): Promise<boolean> {
    const { held, enter, makeRoom } = this.#options
    if (!held.fits(chunk.length)) return false
    if (held.length === 0) await enter()
    if (!held.add(chunk)) {
      await makeRoom()
      if (!held.add(chunk)) return false
    }
    this.#options.onProgress(held.length)
    return true
  }
}

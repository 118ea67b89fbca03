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

  add(chunk: Uint8Array, transfer: boolean): Promise<void> | undefined {
    if (chunk.length === 0) return undefined
    return this.#ingest === undefined
      ? this.#begin(chunk, transfer)
      : this.#append(this.#ingest, chunk, transfer)
  }

  async #begin(chunk: Uint8Array, transfer: boolean): Promise<void> {
    if (await this.#hold(chunk)) return
    await this.#append(await this.spill(), chunk, transfer)
  }

  #append(ingest: Ingest, chunk: Uint8Array, transfer: boolean): Promise<void> | undefined {
    const adding = ingest.add(chunk, transfer)
    this.#options.onProgress(ingest.accepted)
    return adding
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

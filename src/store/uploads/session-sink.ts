/** Where a request's body goes: the session's file, which is made with the first byte. */
import type { BodySink } from '../ingest/body.ts'
import type { Ingest } from '../ingest/ingest.ts'

export class SessionSink implements BodySink {
  #ingest: Ingest | undefined
  readonly #open: () => Promise<Ingest>
  readonly #onProgress: (accepted: number) => void

  /** Without `ingest`, the session has no byte yet. */
  constructor(
    ingest: Ingest | undefined,
    { open, onProgress }: { open(): Promise<Ingest>; onProgress(accepted: number): void },
  ) {
    this.#ingest = ingest
    this.#open = open
    this.#onProgress = onProgress
  }

  get accepted(): number {
    return this.#ingest?.accepted ?? 0
  }

  begin(): void {
    this.#ingest?.begin()
  }

  async add(chunk: Uint8Array, transfer: boolean): Promise<void> {
    if (chunk.length === 0) return
    if (this.#ingest === undefined) {
      const ingest = await this.#open()
      ingest.begin()
      this.#ingest = ingest
    }
    const adding = this.#ingest.add(chunk, transfer)
    this.#onProgress(this.#ingest.accepted)
    await adding
  }

  async end(): Promise<void> {
    await this.#ingest?.end()
  }
}

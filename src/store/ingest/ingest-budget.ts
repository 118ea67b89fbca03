/** Memory for bytes on their way to the disk, which all uploads share that bytes are expected for. */

const batchBytes = 1024 * 1024
const smallestBatchBytes = 64 * 1024
/** The disk is kept at work while the next ones are gathered. */
const windowBatches = 8

export class IngestBudget {
  readonly #bytes: number
  #active = 0

  constructor(bytes = 32 * 1024 * 1024) {
    this.#bytes = bytes
  }

  /** Whether bytes are expected for any. */
  get isBusy(): boolean {
    return this.#active > 0
  }

  enter(): void {
    this.#active++
  }

  leave(): void {
    this.#active--
  }

  /** How much one gathers before it goes to the disk. */
  get batchBytes(): number {
    return Math.max(smallestBatchBytes, Math.min(batchBytes, this.#share / windowBatches))
  }

  /** One that has so much under way waits. What is smaller than a batch is a batch. */
  get windowBytes(): number {
    return Math.min(this.#share, windowBatches * batchBytes)
  }

  get #share(): number {
    return this.#bytes / Math.max(1, this.#active)
  }
}

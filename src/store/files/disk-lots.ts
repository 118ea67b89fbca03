/** Room on the disk for one file that grows by small writes, asked for many of them at once: the answer costs as much as the write. */
import { SingleFlight } from '../../base/base.ts'
import type { DiskSpace } from './disk-space.ts'

const lotBytes = 4 * 1024 * 1024

export class DiskLots {
  readonly #space: DiskSpace
  readonly #taking = new SingleFlight<void>()
  #room = 0

  constructor(space: DiskSpace) {
    this.#space = space
  }

  /** As `DiskSpace.take`, of the `rest` bytes that the file lacks. Throws StoreFullError. */
  async take(bytes: number, rest: number): Promise<void> {
    while (this.#room < bytes) {
      await this.#taking.run('', async () => {
        const lot = Math.max(bytes, Math.min(lotBytes, rest))
        await this.#space.take(lot)
        this.#room += lot
      })
    }
    this.#room -= bytes
  }

  /** These bytes are written, or never will be. */
  settle(bytes: number): void {
    this.#space.settle(bytes)
  }

  /** What was not used is given back. */
  end(): void {
    this.#space.giveBack(this.#room)
    this.#room = 0
  }
}

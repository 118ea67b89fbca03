/** Hashes a file from its beginning, as far as it is told to at a time: a thread's side. */
import { createHash, type Hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { DigestAlgorithm } from '../../oci/oci.ts'
import { BlockSums } from './block-sums.ts'

const readBytes = 1024 * 1024

export class FileHash {
  readonly hash: Hash
  readonly sums = new BlockSums()
  /** Bytes hashed. */
  offset = 0
  readonly #handle: FileHandle

  constructor(handle: FileHandle, algorithm: DigestAlgorithm) {
    this.#handle = handle
    this.hash = createHash(algorithm)
  }

  /** Hashes up to `bytes` more, reading ahead of the hash; true at the file's end. Throws when it was told to stop. */
  async step(bytes: number, isStopped: () => boolean = () => false): Promise<boolean> {
    const { size } = await this.#handle.stat()
    const end = Math.min(size, this.offset + bytes)
    if (this.offset >= size) return true
    const room = Math.min(readBytes, end - this.offset)
    let [current, spare] = [new Uint8Array(room), new Uint8Array(room)]
    let reading = this.#read(current, this.offset, end)
    for (;;) {
      const bytesRead = await reading
      this.offset += bytesRead
      if (bytesRead === 0 || isStopped()) break
      reading = this.#read(spare, this.offset, end)
      this.hash.update(current.subarray(0, bytesRead))
      this.sums.update(current.subarray(0, bytesRead))
      ;[current, spare] = [spare, current]
    }
    current.buffer.transfer(0)
    spare.buffer.transfer(0)
    if (isStopped()) throw new Error('stopped')
    return this.offset >= size || this.offset < end
  }

  async #read(buffer: Uint8Array, position: number, end: number): Promise<number> {
    if (position >= end) return 0
    const { bytesRead } = await this.#handle.read(
      buffer,
      0,
      Math.min(buffer.length, end - position),
      position,
    )
    return bytesRead
  }
}

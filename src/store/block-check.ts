/** Reads blocks of an open file again and compares their sums: a thread's side of serving what is proven. */
import { read } from 'node:fs'
import { promisify } from 'node:util'
import { blockBytes, isRight } from './block-sums.ts'

const readAt = promisify(read)
const blocksAtOnce = 4

/** One buffer for all checks of this thread, which take turns: a thousand readers must not take a thousand buffers. */
let buffer: Uint8Array | undefined
let turn: Promise<unknown> = Promise.resolve()

export interface BlockCheck {
  /** Of a file that stays open until this is answered. */
  fd: number
  /** Where a block begins. */
  start: number
  /** Where a block ends, or the file. */
  end: number
  sums: Uint8Array
}

export async function checkBlocks(check: BlockCheck): Promise<boolean> {
  const before = turn
  const result = before.then(() => areRight(check))
  turn = result.catch(() => undefined)
  return await result
}

async function areRight({ fd, start, end, sums }: BlockCheck): Promise<boolean> {
  buffer ??= new Uint8Array(blocksAtOnce * blockBytes)
  for (let position = start; position < end; position += buffer.length) {
    const wanted = Math.min(buffer.length, end - position)
    for (let filled = 0; filled < wanted; ) {
      const { bytesRead } = await readAt(fd, buffer, filled, wanted - filled, position + filled)
      // It was cut short.
      if (bytesRead === 0) return false
      filled += bytesRead
    }
    const first = ((position - start) / blockBytes) * 4
    if (!isRight(buffer.subarray(0, wanted), sums.subarray(first))) return false
  }
  return true
}

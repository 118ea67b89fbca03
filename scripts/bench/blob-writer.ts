/** Writes the blobs of a full store's images, on a thread of its own: a million files take as long as all the rest. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { isMainThread, Worker, workerData } from 'node:worker_threads'

/** A config and nine layers. */
export const blobsPerImage = 10
const shards = 256

export interface Blob {
  hex: string
  bytes: Buffer
}

/** No two images share one. */
export function blobsOf(image: number): Blob[] {
  return Array.from({ length: blobsPerImage }, (_, part) => {
    const bytes = Buffer.from(`{"image":${image},"part":${part}}`)
    return { hex: createHash('sha256').update(bytes).digest('hex'), bytes }
  })
}

/** Nothing is synced: the bench does that before it measures. */
export async function writeBlobs(
  folder: string,
  images: number,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const worker = new Worker(import.meta.filename, { workerData: { folder, images } })
  try {
    await once(worker, 'exit', { signal })
  } finally {
    await worker.terminate()
  }
}

if (!isMainThread) {
  const { folder, images } = workerData as { folder: string; images: number }
  for (let shard = 0; shard < shards; shard += 1)
    mkdirSync(path.join(folder, shard.toString(16).padStart(2, '0')), { recursive: true, mode: 0o700 })
  for (let image = 0; image < images; image += 1)
    for (const { hex, bytes } of blobsOf(image))
      writeFileSync(path.join(folder, hex.slice(0, 2), hex), bytes, { mode: 0o600 })
}

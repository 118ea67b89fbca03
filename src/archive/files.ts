/** The files of an archive, wherever they lie. */
import { hash } from 'node:crypto'
import { algorithmOf, type Descriptor, excerpt, hexOf } from '../oci/oci.ts'
import { ArchiveError } from './errors.ts'

/** Paths are relative, with `/` between their parts. */
export interface ArchiveFiles extends AsyncDisposable {
  /** For messages. */
  readonly name: string
  /** `undefined` when there is no such file. Throws ArchiveError for what is there and no plain file. */
  find(path: string): Promise<{ size: number } | undefined>
  /** Throws ArchiveError when it is not there, or shorter than it was. */
  chunks(path: string, options?: { signal?: AbortSignal }): AsyncIterable<Uint8Array>
  /** Where it lies on this host, for who reads it by themselves; absent where it is part of another file. */
  pathOf?(path: string): string
}

/** The whole of a small file; `undefined` when it is not there. Throws ArchiveError when it is larger than `maxBytes`. */
export async function readSmall(
  files: ArchiveFiles,
  path: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const found = await files.find(path)
  if (found === undefined) return undefined
  if (found.size > maxBytes)
    throw new ArchiveError(
      `${excerpt(path)} of ${files.name} has ${found.size} bytes; at most ${maxBytes} make sense`,
    )
  const chunks: Uint8Array[] = []
  // Copied: a chunk's memory is used again for the next one.
  for await (const chunk of files.chunks(path)) chunks.push(Uint8Array.from(chunk))
  return Buffer.concat(chunks)
}

/** The whole of a small blob, proven. Throws ArchiveError when it is missing, of another size, or of another digest. */
export async function readBlob(
  files: ArchiveFiles,
  { digest, size }: Descriptor,
  { maxBytes, path = blobPath({ digest }) }: { maxBytes: number; path?: string },
): Promise<Uint8Array> {
  const bytes = await readSmall(files, path, maxBytes)
  if (bytes === undefined) throw new ArchiveError(`${path} is not in ${files.name}, and its images need it`)
  if (bytes.length !== size)
    throw new ArchiveError(`${path} has ${bytes.length} bytes, its descriptor says ${size}`)
  const algorithm = algorithmOf(digest)
  const actual = hash(algorithm, bytes, 'hex')
  if (actual !== hexOf(digest)) throw new ArchiveError(`${path} hashes to ${algorithm}:${actual}`)
  return bytes
}

export function blobPath({ digest }: Pick<Descriptor, 'digest'>): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`
}

/** Data directories that earlier versions wrote, kept as archives, and what has to be found in each of them. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { run } from './command.ts'
import { seededBytes } from './image.ts'

/** Written beside the data directory as `golden.json`, by the script that made it. */
export interface GoldenData {
  /** Base58, as `shoal peers` prints them. */
  peer: string
  cluster: string
  repository: string
  /** Digests by tag. */
  tags: Record<string, string>
  deletedTag: string
  /** What the manifests of the tags consist of. */
  blobs: string[]
  /** A digest, and that of the manifest that refers to it. */
  referrer: { subject: string; digest: string }
  /** A tag that the policy lets nobody move. */
  immutableTag: string
  /** Since format 3. */
  account?: { name: string; password: string }
  upload: { location: string; offset: number }
  /** A blob that was on its way from another member. */
  partial: { digest: string; size: number; held: number }
}

/** What is uploaded in a golden directory, up to `offset`. */
export const goldenUpload = seededBytes('golden upload', 30_000)

/** One archive for each format; the number is that of `dataFormat` in node/data-format.ts. */
export function goldenArchive(format: number): string {
  return path.join(import.meta.dirname, `golden-data/format-${format}.tar.gz`)
}

/** Unpacks an archive into an empty folder; the data directory is `data` in it. */
export async function unpackGolden(format: number, folder: string): Promise<GoldenData> {
  await run('tar', ['--extract', '--gzip', '--file', goldenArchive(format), '--directory', folder])
  return JSON.parse(await readFile(path.join(folder, 'golden.json'), 'utf8')) as GoldenData
}

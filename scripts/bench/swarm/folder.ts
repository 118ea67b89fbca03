/** Folders of a run, which go away with its root. */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import type { SwarmBench } from './bench.ts'

export async function makeFolder(bench: Pick<SwarmBench, 'root'>, name: string): Promise<string> {
  const folder = path.join(bench.root, name)
  await mkdir(folder, { recursive: true })
  return folder
}

/** A temporary folder of a test, removed with all that daemons have mounted inside it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { run } from './process.ts'

export interface ScratchFolder extends AsyncDisposable {
  readonly path: string
  /** The path of something inside. */
  at(...names: string[]): string
}

export async function openScratchFolder(): Promise<ScratchFolder> {
  const folder = await mkdtemp(path.join(tmpdir(), 'shoal-e2e-'))
  return {
    path: folder,
    at: (...names) => path.join(folder, ...names),
    async [Symbol.asyncDispose]() {
      for (const mount of await mountsBelow(folder)) await run('umount', [mount])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Mount points in the folder, the innermost first. */
async function mountsBelow(folder: string): Promise<string[]> {
  if (process.platform !== 'linux') return []
  const points = (await readFile('/proc/self/mounts', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
  return points.filter((point) => point.startsWith(`${folder}/`)).reverse()
}

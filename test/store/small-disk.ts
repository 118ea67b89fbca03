/** A disk of a few MiB that tests fill up: a tmpfs, which takes root to mount. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SmallDisk extends Disposable {
  readonly path: string
  /** False where the right to mount is lacking. */
  readonly isMounted: boolean
  /** Leaves about `leftBytes` free, by a file that `free` takes away. */
  fill(leftBytes?: number): Promise<void>
  free(): Promise<void>
}

export function smallDisk(mebibytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), 'shoal-small-disk-'))
  const isMounted =
    spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=700`, 'tmpfs', path]).status === 0
  const ballast = join(path, 'ballast')
  return {
    path,
    isMounted,
    async fill(leftBytes = 0) {
      const { bavail, bsize } = await statfs(path)
      await writeFile(ballast, new Uint8Array(Math.max(0, bavail * bsize - leftBytes)), { flag: 'a' })
    },
    async free() {
      await rm(ballast, { force: true })
    },
    [Symbol.dispose]() {
      if (isMounted) spawnSync('umount', [path])
      rmdirSync(path)
    },
  }
}

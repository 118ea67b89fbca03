/** A disk of a given size: ext4 in a sparse file, mounted until it is disposed of. */
import { mkdir, open, rm, statfs } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from '../command.ts'

export interface Disk extends AsyncDisposable {
  readonly folder: string
  filledShare(): Promise<number>
}

export async function openDisk(
  root: string,
  name: string,
  bytes: number,
  { signal }: { signal: AbortSignal },
): Promise<Disk> {
  await using cleanup = new AsyncDisposableStack()
  const file = path.join(root, `${name}.ext4`)
  const folder = path.join(root, name)
  await mkdir(folder)
  await using sparse = await open(file, 'w')
  await sparse.truncate(bytes)
  cleanup.defer(async () => await rm(file))
  await runCommand('mkfs.ext4', ['-q', '-m', '0', file], { signal })
  await runCommand('mount', ['-o', 'loop', file, folder], { signal })
  cleanup.defer(
    async () => void (await runCommand('umount', [folder], { signal: new AbortController().signal })),
  )
  const owned = cleanup.move()
  return {
    folder,
    async filledShare() {
      const { blocks, bfree } = await statfs(folder)
      return (blocks - bfree) / blocks
    },
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

/** Files that were there before a recording begins, as if they had been written and synced by it. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Call, TimedCall } from './trace.ts'

/** As high as no open file's number. */
const firstFile = 1_000_000

/** What makes `folder` as it is now, with everything synced. */
export async function callsOf(folder: string): Promise<TimedCall[]> {
  const calls: Call[] = []
  let file = firstFile
  const sync = (path: string): void => {
    const opened = file++
    calls.push(
      { name: 'open', file: opened, path, creates: false, truncates: false, appends: false },
      { name: 'sync', file: opened },
    )
  }
  const add = async (path: string): Promise<void> => {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const inside = join(path, entry.name)
      if (entry.isDirectory()) {
        calls.push({ name: 'mkdir', path: inside })
        await add(inside)
      } else if (entry.isFile()) {
        calls.push(
          { name: 'open', file, path: inside, creates: true, truncates: false, appends: false },
          { name: 'write', file, bytes: await readFile(inside) },
          { name: 'sync', file: file++ },
        )
      }
    }
    sync(path)
  }
  await add(folder)
  return calls.map((call, index) => ({ ...call, beganNs: BigInt(2 * index), endedNs: BigInt(2 * index + 1) }))
}

/** Puts a build in the place of the one before, under a node that may run from that. */
import { readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'

interface ReplaceOptions {
  /** When the build began: a source that changed meanwhile is newer. */
  begun: Date
  /** For how long what the new build no longer has stays: a running node loads some of its files late. Without it, it goes. */
  keepMs?: number
}

/** File by file: what runs from `output` goes on finding what has not changed. Each file of a build has the time of main.js. */
export function replaceBuild(made: string, output: string, { begun, keepMs = 0 }: ReplaceOptions): void {
  const before = changedMs(join(output, 'main.js'))
  // A time that no file of a build has.
  const dropped = new Date(begun.getTime() + 1)
  const names = readdirSync(made)
  for (const name of names) {
    const file = join(output, name)
    if (!isSame(join(made, name), file)) renameSync(join(made, name), file)
    utimesSync(file, begun, begun)
  }
  for (const name of readdirSync(output)) {
    if (names.includes(name)) continue
    const file = join(output, name)
    const changed = changedMs(file) ?? 0
    // What is left over from the last build is kept from now on, what was left over before only for the rest of its time.
    if (keepMs > 0 && changed === before) utimesSync(file, dropped, dropped)
    else if (changed < dropped.getTime() - keepMs) rmSync(file, { recursive: true })
  }
}

export function changedMs(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs
}

function isSame(one: string, other: string): boolean {
  return changedMs(other) !== undefined && readFileSync(one).equals(readFileSync(other))
}

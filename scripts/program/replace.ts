/** Puts a build in the place of the one before, under a node that may run from that. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

/** How long what a new build no longer has stays: a running node loads some of its files late. */
const keepMs = 7 * 24 * 60 * 60 * 1000
/** Names what is left over, for npm, which packs none of it. */
const leftoversFile = '.npmignore'

/**
 * File by file: what runs from `output` goes on finding what has not changed. Each file of a build has the time of main.js, `begun`:
 * a source that changed meanwhile is newer.
 */
export function replaceBuild(made: string, output: string, begun: Date): void {
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
    if (names.includes(name) || name === leftoversFile) continue
    const file = join(output, name)
    const changed = changedMs(file) ?? 0
    // What is left over from the last build is kept from now on, what was left over before only for the rest of its time.
    if (changed === before) utimesSync(file, dropped, dropped)
    else if (changed < dropped.getTime() - keepMs) rmSync(file, { recursive: true })
  }
  const left = readdirSync(output).filter((name) => !names.includes(name) && name !== leftoversFile)
  writeFileSync(join(output, leftoversFile), left.map((name) => `${name}\n`).join(''))
}

/** The same for the page, which a node and npm read as a whole: nothing that both builds have is missing for a moment, and no leftover stays. */
export function replacePage(made: string, output: string, begun: Date): void {
  const page = 'index.html'
  const names = filesBelow(made)
  // The page last: what it names is there.
  for (const name of [...names.filter((each) => each !== page), page]) {
    const file = join(output, name)
    mkdirSync(dirname(file), { recursive: true })
    if (!isSame(join(made, name), file)) renameSync(join(made, name), file)
  }
  for (const name of filesBelow(output)) if (!names.includes(name)) rmSync(join(output, name))
  utimesSync(join(output, page), begun, begun)
}

function filesBelow(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return names.filter((name) => statSync(join(folder, name)).isFile())
}

/** Whether a file of a build's folder is not of the program: kept for a node that runs, or the list of those. */
export function isLeftover(output: string, name: string): boolean {
  const list = join(output, leftoversFile)
  const left = existsSync(list) ? readFileSync(list, 'utf8').split('\n') : []
  return name === leftoversFile || left.includes(name)
}

export function changedMs(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs
}

function isSame(one: string, other: string): boolean {
  return changedMs(other) !== undefined && readFileSync(one).equals(readFileSync(other))
}

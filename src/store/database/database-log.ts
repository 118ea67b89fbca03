/** What LevelDB left out when it was opened: it says so in its own log alone, and opens all the same. */
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** It writes one line for each damaged block; the first ones tell enough. */
const maxLines = 16
/** Of the log, which begins anew with each opening. */
const maxBytes = 1024 * 1024

/** Lines of `directory/db/LOG` that tell of records it dropped as damaged, the oldest first. Read it right after opening. */
export async function readDropped(directory: string): Promise<string[]> {
  const dropped: string[] = []
  const input = createReadStream(join(directory, 'db', 'LOG'), { encoding: 'utf8', end: maxBytes })
  for await (const line of createInterface({ input })) {
    // The time and the thread's number come first.
    const [, text] = /^\S+ \S+ (.*dropping \d+ bytes; .*)$/.exec(line) ?? []
    if (text !== undefined && dropped.length < maxLines) dropped.push(text)
  }
  return dropped
}

export function describeDropped(dropped: readonly string[]): string {
  return `the database was damaged: when it was opened it dropped records (${dropped[0]}); members bring back tags, what else is gone has to be pushed again`
}

/**
 * When this node heard last from another member, by a reconciliation that ended well, and whether access rules still count by
 * that: the policy may say for how long they do (`accessMaxAge`). It is measured by a clock that nobody sets, and kept in
 * DIR/last-contact over restarts; how long a node was stopped the host's clock says.
 */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Logger } from '../src/base/base.ts'
import { accessAgeValue, type Ledger } from '../src/records/records.ts'

export interface Contact extends AsyncDisposable {
  /** All that a member knows is known here. */
  heard(): void
  /** Since then, in milliseconds; `undefined` where this node never met a member, and so has nobody to hear from. */
  ageMs(): number | undefined
  /** Why nobody is let in by the access rules, in words. */
  problem(): string | undefined
}

interface ContactOptions {
  directory: string
  names: Pick<Ledger, 'policy' | 'onChange'>
  /** For durations. */
  steady: Clock
  /** What time it is. */
  wall: Clock
  logger: Logger
}

const writeEveryMs = 60_000

export async function openContact(options: ContactOptions): Promise<Contact> {
  const { directory, names, steady, wall, logger } = options
  const file = join(directory, 'last-contact')
  const closing = new AbortController()
  const { signal } = closing
  let heardMs = await readContact(file, { steady, wall, logger })
  let limit = limitOf(names)
  const stop = names.onChange((keys) => {
    if (keys.some(({ kind }) => kind === 'policy')) limit = limitOf(names)
  })
  const ageMs = (): number | undefined =>
    heardMs === undefined ? undefined : Math.max(0, steady.now() - heardMs)

  async function write(): Promise<void> {
    const age = ageMs()
    if (age === undefined) return
    try {
      const text = JSON.stringify({ ageMs: Number.isFinite(age) ? age : null, atMs: wall.now() })
      await writeFile(`${file}.new`, text, { mode: 0o600, flush: true })
      await rename(`${file}.new`, file)
    } catch (error) {
      logger.warn({ err: error, file }, 'it could not be noted when this node heard from a member')
    }
  }

  async function writeAgain(): Promise<void> {
    while (!signal.aborted) {
      try {
        await steady.sleep(writeEveryMs, { signal })
      } catch (error) {
        if (!signal.aborted) throw error
      }
      await write()
    }
  }

  const writing = writeAgain()
  return {
    heard() {
      const isFirst = heardMs === undefined
      heardMs = steady.now()
      // Whether it ever met a member has to outlive a kill.
      if (isFirst) void write()
    },
    ageMs,
    problem() {
      // Asked twice for each request, most of which are under no limit.
      if (limit === undefined) return undefined
      const age = ageMs()
      if (age === undefined || age <= limit.ms) return undefined
      return `this node has heard from no member for longer than ${limit.text}, after which its access rules count no more (accessMaxAge of the policy); it serves again once it reaches one`
    },
    async [Symbol.asyncDispose]() {
      stop()
      closing.abort()
      await writing
    },
  }
}

function limitOf(names: Pick<Ledger, 'policy'>): { ms: number; text: string } | undefined {
  const { access = [], accessMaxAge: text } = names.policy()
  // Where everybody may everything there is nothing that could be revoked.
  return text === undefined || access.length === 0 ? undefined : { ms: accessAgeValue(text), text }
}

/** What cannot be read says that a member was met, and not when: nothing counts until one is met again. */
async function readContact(
  file: string,
  { steady, wall, logger }: Pick<ContactOptions, 'steady' | 'wall' | 'logger'>,
): Promise<number | undefined> {
  try {
    const { ageMs, atMs }: { ageMs?: unknown; atMs?: unknown } = JSON.parse(await readFile(file, 'utf8'))
    if (typeof ageMs !== 'number' || typeof atMs !== 'number') return Number.NEGATIVE_INFINITY
    // A clock that was set back takes nothing away from what had passed.
    return steady.now() - ageMs - Math.max(0, wall.now() - atMs)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    logger.warn({ err: error, file }, 'it cannot be read when this node heard from a member')
    return Number.NEGATIVE_INFINITY
  }
}

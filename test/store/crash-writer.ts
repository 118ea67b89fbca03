/**
 * Writes to a store until it is killed, and prints a line for each thing that was acknowledged:
 * `ready`, `blob DIGEST`, `manifest DIGEST BLOB…`, `session ID OFFSET`, `finished DIGEST`.
 * Waits for one line on its input before it opens the store: `SEED SESSION-ID`, the id being `-` for a new one. Ends without.
 */
import { createInterface } from 'node:readline'
import type { Store } from '../../src/store/store.ts'
import { digestOf, inChunks, openAt, pushManifest, seededBytes, team } from './scenery.ts'

/** The upload that goes on over many lives. */
export const longUpload = { bytes: 6_000_000, seed: 424_242, step: 150_000 }

async function main(directory: string): Promise<void> {
  const { value: line } = await createInterface(process.stdin)[Symbol.asyncIterator]().next()
  if (line === undefined) return
  const [seed = '', sessionId = '-'] = line.split(' ')
  const { store } = await openAt(directory, { graceMs: 1, workers: 2 })
  say('ready')
  const lanes = [0, 1, 2].map((lane) => pushForever(store, Number(seed) * 10 + lane))
  await Promise.all([...lanes, uploadOn(store, sessionId), collectForever(store, Number(seed) % 2 === 1)])
}

/** Written at once: a line that was printed must not wait in this process. */
function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function pushForever(store: Store, seed: number): Promise<void> {
  for (let turn = 0; ; turn++) {
    const name = seed * 1000 + turn
    const bytes = seededBytes(turn % 5 === 4 ? 1_500_000 : 1000 + ((name * 7919) % 60_000), name)
    const digest = digestOf(bytes, turn % 3 === 0 ? 'sha512' : 'sha256')
    const { id } = await store.uploads.create(team)
    // Whole, it is one file at once where it is small.
    if (bytes.length % 2 === 0) await store.uploads.put(team, id, inChunks(bytes), digest)
    else {
      await store.uploads.append(team, id, inChunks(bytes))
      await store.uploads.finish(team, id, digest)
    }
    if (await keep(store, `${name}`, digest)) say(`blob ${digest}`)
  }
}

/** False when the collector, which gives no time at all here, was faster; a client would push again. */
async function keep(store: Store, name: string, digest: ReturnType<typeof digestOf>): Promise<boolean> {
  try {
    say(`manifest ${await pushManifest(store, name, [digest])} ${digest}`)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'BLOB_MISSING') return false
    throw error
  }
}

async function uploadOn(store: Store, sessionId: string): Promise<void> {
  const bytes = seededBytes(longUpload.bytes, longUpload.seed)
  let session = sessionId === '-' ? undefined : await store.uploads.find(team, sessionId)
  for (;;) {
    session ??= await store.uploads.create(team)
    say(`session ${session.id} ${session.offset}`)
    if (session.offset === bytes.length) {
      await store.uploads.finish(team, session.id, digestOf(bytes))
      say(`finished ${digestOf(bytes)}`)
      session = undefined
      continue
    }
    const step = bytes.subarray(session.offset, session.offset + longUpload.step)
    session = await store.uploads.append(team, session.id, inChunks(step), { offset: session.offset })
  }
}

async function collectForever(store: Store, wanted: boolean): Promise<void> {
  while (wanted) await store.collect({ graceMs: 1, isLive: async (_, digest) => isManifest(store, digest) })
}

async function isManifest(store: Store, digest: ReturnType<typeof digestOf>): Promise<boolean> {
  return (await store.manifests.get(digest)) !== undefined
}

const directory = process.argv[2]
if (directory === undefined) throw new Error('expected a data directory')
await main(directory)

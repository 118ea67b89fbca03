import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { type Digest, parseDigest } from '../../src/oci/oci.ts'
import { seededNumbers } from './random.ts'
import { openAt, team, temporaryFolder } from './scenery.ts'

const lives = 50

interface Acknowledged {
  blobs: Set<Digest>
  manifests: Map<Digest, Digest>
  session: { id: string; offset: number } | undefined
  finished: number
}

it(`keeps everything acknowledged over ${lives} kills at random moments`, { timeout: 240_000 }, async () => {
  await using folder = await temporaryFolder()
  const random = seededNumbers(20_261_123)
  const known: Acknowledged = { blobs: new Set(), manifests: new Map(), session: undefined, finished: 0 }
  const proven = new Set<string>()
  await using writers = new AsyncDisposableStack()
  const start = (): ChildProcess => {
    const child = startWriter(folder.path)
    writers.defer(() => {
      child.kill('SIGKILL')
    })
    return child
  }
  await compileWriter(folder.path)
  // The next writer loads its code while the last one runs: that is most of a life.
  let next = start()
  for (let life = 0; life < lives; life++) {
    const writer = next
    if (life + 1 < lives) next = start()
    await liveAndDie(writer, known, {
      seed: life,
      lines: Math.floor(random() * 25),
      afterMs: random() * 12,
    })
    await proveFiles(join(folder.path, 'blobs'), proven)
    await proveAcknowledged(folder.path, known)
  }
  expect(known.manifests.size).toBeGreaterThan(lives)
  expect(known.finished).toBeGreaterThan(0)
})

/** Those that are killed leave no compiled code behind for the next; one that ends by itself does. */
async function compileWriter(directory: string): Promise<void> {
  const writer = startWriter(directory)
  writer.stdin?.end()
  await once(writer, 'exit')
}

function startWriter(directory: string): ChildProcess {
  const script = fileURLToPath(new URL('./crash-writer.ts', import.meta.url))
  const env = { ...process.env, NODE_COMPILE_CACHE: join(directory, 'compiled') }
  return spawn(process.execPath, [script, directory], { stdio: ['pipe', 'pipe', 'inherit'], env })
}

/** Lets the writer go, kills it some moment after it printed so many lines, and takes down what it acknowledged. */
async function liveAndDie(
  writer: ChildProcess,
  known: Acknowledged,
  { seed, lines, afterMs }: { seed: number; lines: number; afterMs: number },
): Promise<void> {
  const { stdin, stdout } = writer
  if (stdin === null || stdout === null) throw new Error('the writer has no pipes')
  const exited = once(writer, 'exit')
  stdin.write(`${seed} ${known.session?.id ?? '-'}\n`)
  let seen = 0
  for await (const line of createInterface(stdout)) {
    note(line, known)
    if (seen++ === lines) setTimeout(() => writer.kill('SIGKILL'), afterMs)
  }
  expect((await exited)[1], 'the writer ends by the kill alone').toBe('SIGKILL')
}

function note(line: string, known: Acknowledged): void {
  const [kind, first = '', second = ''] = line.split(' ')
  if (kind === 'blob') known.blobs.add(parseDigest(first))
  if (kind === 'manifest') known.manifests.set(parseDigest(first), parseDigest(second))
  if (kind === 'session') known.session = { id: first, offset: Number(second) }
  if (kind !== 'finished') return
  known.finished++
  known.session = undefined
}

/** Every file that has a digest's name holds what hashes to it. Files that were proven once are not read again. */
async function proveFiles(blobs: string, proven: Set<string>): Promise<void> {
  for (const entry of await readdir(blobs, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile() || proven.has(path)) continue
    const hash = createHash(entry.name.length === 64 ? 'sha256' : 'sha512')
    for await (const chunk of createReadStream(path)) hash.update(chunk)
    expect(hash.digest('hex')).toBe(entry.name)
    proven.add(path)
  }
}

async function proveAcknowledged(directory: string, known: Acknowledged): Promise<void> {
  await using opened = await openAt(directory)
  const { store } = opened
  for (const [manifest, blob] of known.manifests) {
    expect(await store.manifests.get(manifest), manifest).toBeDefined()
    expect(await store.links.has(team, blob), blob).toBe(true)
  }
  for (const blob of known.blobs) expect(await store.blobs.stat(blob), blob).toBeDefined()
  if (known.session === undefined) return
  const session = await store.uploads.find(team, known.session.id)
  // Killed between the commit of a finished session and its line, the session is gone.
  if (session === undefined) known.session = undefined
  else expect(session.offset).toBeGreaterThanOrEqual(known.session.offset)
}

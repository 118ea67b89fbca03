/** What every measurement is given: the subjects, sizes, folders that go away again, and turns. */
import { mkdtemp, rm } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from './command.ts'
import type { BlobFile, BlobMaker } from './content.ts'
import type { Line } from './line.ts'
import { openRegistry, type Registry, type Subject } from './subject.ts'

export const mib = 2 ** 20

export interface Folder extends AsyncDisposable {
  readonly path: string
}

export interface Bench {
  readonly shoal: Subject
  readonly reference: Subject
  /** The CLI of the Shoal that is measured. */
  readonly shoalCommand: string
  readonly reps: number
  /** The large blob; 1 GiB unless the run was asked to be smaller. */
  readonly blobBytes: number
  /** How long one wrk run lasts. */
  readonly loadSeconds: number
  /** How many tags the full store of the start measurement has. */
  readonly tagCount: number
  /** Where the full store is kept between runs, when it is. */
  readonly filledDir: string | undefined
  readonly maker: BlobMaker
  /** The run's own folder; every other is under it. */
  readonly root: string
  readonly signal: AbortSignal
  say(text: string): void
}

export interface Measurement {
  readonly name: string
  run(bench: Bench): Promise<Line[]>
}

export async function openFolder(bench: Pick<Bench, 'root'>, name: string): Promise<Folder> {
  const folder = await mkdtemp(path.join(bench.root, `${name}-`))
  return { path: folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}

export interface Pair extends AsyncDisposable {
  readonly shoal: Registry
  readonly reference: Registry
}

/** Starts both subjects over empty stores in `folder`. */
export async function openPair(bench: Bench, folder: string): Promise<Pair> {
  await using stack = new AsyncDisposableStack()
  const shoal = stack.use(await openRegistry(bench.shoal, path.join(folder, 'shoal'), bench))
  const reference = stack.use(await openRegistry(bench.reference, path.join(folder, 'reference'), bench))
  const kept = stack.move()
  return { shoal, reference, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

export interface Samples {
  shoal: number[]
  reference: number[]
}

/** Measures both of a pair, A B A B …, with the disk settled before each. */
export async function takeTurns(
  bench: Bench,
  pair: Pick<Pair, 'shoal' | 'reference'>,
  measure: (registry: Registry, turn: number) => Promise<number>,
): Promise<Samples> {
  const samples: Samples = { shoal: [], reference: [] }
  for (let turn = 0; turn < bench.reps; turn += 1) {
    for (const side of ['shoal', 'reference'] as const) {
      await settle(bench)
      samples[side].push(await measure(pair[side], turn))
    }
  }
  return samples
}

/** Waits until what was written is on the disk, so that nobody pays for another's writes. */
export async function settle(bench: Bench): Promise<void> {
  await runCommand('sync', [], bench)
}

export async function makeBlobs(
  bench: Bench,
  folder: string,
  count: number,
  size: number,
): Promise<BlobFile[]> {
  const files: BlobFile[] = []
  for (let index = 0; index < count; index += 1) {
    files.push(await bench.maker.make(path.join(folder, `blob-${size}-${index}`), size))
  }
  return files
}

/** MB/s of `bytes` in `ms`, in decimal megabytes. */
export function rate(bytes: number, ms: number): number {
  return bytes / 1e6 / (ms / 1000)
}

export function sizeText(bytes: number): string {
  const mibs = Math.round(bytes / mib)
  return mibs % 1024 === 0 ? `${mibs / 1024} GiB` : `${mibs} MiB`
}

/**
 * A large model as ollama pulls it: sixteen exact ranges at once of a blob that another member has, also with a restart of the node
 * in the middle. The blob has twice the size of the others, and is nearly all zeros, so that the seeder's file can give its room back.
 * One past 8 GiB is pulled with the restart alone.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir, rm, stat } from 'node:fs/promises'
import http from 'node:http'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { type Bench, type Measurement, mib, openFolder, settle, sizeText } from '../bench.ts'
import { runCommand } from '../command.ts'
import type { Line } from '../line.ts'
import { pullBlob } from '../load.ts'
import { AnswerError, expectStatus } from '../request.ts'
import { peakMiB, resetPeak } from '../resident.ts'
import { shoal } from '../shoal.ts'
import { openRegistry, type Registry } from '../subject.ts'

const repository = 'bench/model'
const rangeCount = 16
const blockBytes = 8 * mib
const quickBytes = 8192 * mib

export const models: Measurement = {
  name: 'models',
  async run(bench) {
    await using folder = await openFolder(bench, 'models')
    const size = 2 * bench.blobBytes
    const isQuick = size <= quickBytes
    const ways = `by ${rangeCount} ranges${isQuick ? ' and whole' : ' with a restart'}`
    bench.say(`cold pulls of ${sizeText(size)} through a second node, ${ways}`)
    await using seeder = await openRegistry(bench.shoal, path.join(folder.path, 'seeder'), bench)
    const digest = await pushContent(seeder, size, bench)
    await digHoles(seeder, size, bench)
    const { stdout } = await runCommand(bench.shoalCommand, ['token', '--data', seeder.dataDir], bench)
    const model = {
      bench,
      digest,
      size,
      folder: folder.path,
      subject: shoal(bench.shoalCommand, ['--join', stdout.trim()]),
    }
    const turns: Turn[] = []
    const restarts: Pulled[] = []
    for (let turn = 0; turn < bench.reps; turn += 1) {
      if (isQuick) turns.push(await takeTurn(model))
      restarts.push(await pullWithRestart(model))
    }
    const line = (name: string, unit: Line['unit'], values: number[], reach: Line['reach']): Line => ({
      what: `cold ${sizeText(size)} by ${rangeCount} ranges, ${name}`,
      unit,
      shoal: values,
      reference: unit === 'ms' && reach?.kind === 'ratio at most' ? turns.map(({ wholeMs }) => wholeMs) : [],
      reach,
    })
    const linesOf = (how: string, pulls: Pulled[], times: number): Line[] => [
      line(
        `until all have their first byte${how}`,
        'ms',
        pulls.map(({ begunMs }) => begunMs),
        { kind: 'value', under: 30_000 },
      ),
      line(
        `peak memory of the node${how}`,
        'MiB',
        pulls.map(({ peak }) => peak),
        { kind: 'value', under: 250 },
      ),
      line(
        `moved between nodes${how}`,
        '×',
        pulls.map(({ moved }) => moved),
        { kind: 'value', under: times },
      ),
    ]
    const again = linesOf(', with a restart at half', restarts, 1.1)
    if (!isQuick) return again
    const ms = turns.map((each) => each.ms)
    return [
      line('beside one whole GET', 'ms', ms, { kind: 'ratio at most', times: 1.25 }),
      ...linesOf('', turns, 1.05),
      ...again,
    ]
  },
}

interface Pulled {
  begunMs: number
  peak: number
  moved: number
}

interface Turn extends Pulled {
  ms: number
  wholeMs: number
}

interface Model {
  bench: Bench
  digest: string
  size: number
  folder: string
  /** A node that joins. */
  subject: Bench['shoal']
}

async function takeTurn(model: Model): Promise<Turn> {
  const { bench, size, digest } = model
  const cold = async <T>(measure: (node: Registry) => Promise<T>): Promise<T> => {
    const place = path.join(model.folder, 'cold')
    await settle(bench)
    try {
      await using node = await openCold(model, place)
      return await measure(node)
    } finally {
      await rm(place, { recursive: true })
    }
  }
  const wholeMs = await cold((node) => pullBlob(node, repository, { digest, size, path: '' }, bench))
  const ranged = await cold(async (node) => {
    await resetPeak(node.pid)
    const pull = new RangedPull(model)
    const begun = performance.now()
    await pull.go(node)
    const ms = performance.now() - begun
    return {
      ms,
      begunMs: pull.begunAtMs - begun,
      peak: await peakMiB(node.pid),
      moved: (await movedTo(node, bench)) / size,
    }
  })
  return { ...ranged, wholeMs }
}

async function pullWithRestart(model: Model): Promise<Pulled> {
  const { bench, size, folder } = model
  const place = path.join(folder, 'restarted')
  await settle(bench)
  const pull = new RangedPull(model)
  const pullFrom = async (leaving: number): Promise<Pulled> => {
    await using node = await openCold(model, place)
    await resetPeak(node.pid)
    const begun = performance.now()
    await pull.go(node, leaving)
    const begunMs = Math.max(0, pull.begunAtMs - begun)
    return { begunMs, peak: await peakMiB(node.pid), moved: (await movedTo(node, bench)) / size }
  }
  const half = await pullFrom(size / 2)
  const rest = await pullFrom(0)
  await rm(place, { recursive: true })
  return { begunMs: half.begunMs, peak: Math.max(half.peak, rest.peak), moved: half.moved + rest.moved }
}

/** Resolves once it knows the seeder, which is asked for nothing before. */
async function openCold({ bench, subject }: Model, folder: string): Promise<Registry> {
  const node = await openRegistry(subject, folder, bench)
  while ((await sumOf('shoal_swarm_members', node, bench)) === 0)
    await delay(50, undefined, { signal: bench.signal })
  return node
}

interface Range {
  at: number
  end: number
  hasBegun: boolean
}

/** Each range goes on from where it is, however often the node is another. */
class RangedPull {
  /** When the last of the ranges had its first byte. */
  begunAtMs = 0
  readonly #model: Model
  readonly #ranges: Range[]
  #left: number

  constructor(model: Model) {
    this.#model = model
    this.#left = model.size
    const part = Math.ceil(model.size / rangeCount)
    this.#ranges = Array.from({ length: rangeCount }, (_, index) => {
      return { at: index * part, end: Math.min(model.size, (index + 1) * part), hasBegun: false }
    })
  }

  /** Until all has come, or all but this much. */
  async go(node: Registry, leaving = 0): Promise<void> {
    const enough = new AbortController()
    const signal = AbortSignal.any([enough.signal, this.#model.bench.signal])
    const outcomes = await Promise.allSettled(
      this.#ranges
        .filter(({ at, end }) => at < end)
        .map(async (range) => {
          for await (const length of this.#read(node, range, signal)) {
            this.#left -= length
            if (this.#left <= leaving) enough.abort()
          }
        }),
    )
    if (this.#left <= leaving) return
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  async *#read(node: Registry, range: Range, signal: AbortSignal): AsyncGenerator<number> {
    const url = `${node.url}/v2/${repository}/blobs/${this.#model.digest}`
    const headers = { range: `bytes=${range.at}-${range.end - 1}` }
    const [answer] = (await once(http.get(url, { headers, agent: false, signal }), 'response')) as [
      http.IncomingMessage,
    ]
    if (answer.statusCode !== 206)
      throw new AnswerError(`${headers.range} was answered with ${answer.statusCode}, expected 206`)
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      if (!range.hasBegun) this.begunAtMs = performance.now()
      range.hasBegun = true
      if (!chunk.equals(contentAt(range.at, chunk.length)))
        throw new AnswerError(`the bytes from ${range.at} on are not those that were pushed`)
      range.at += chunk.length
      yield chunk.length
    }
  }
}

/** Zeros, but for the number of each block at its start. */
function contentAt(at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let block = Math.floor(at / blockBytes); block * blockBytes < at + length; block += 1) {
    const stamp = Buffer.alloc(8)
    stamp.writeDoubleBE(block)
    const start = block * blockBytes - at
    if (start >= 0) stamp.copy(bytes, start)
    else if (start > -8) stamp.copy(bytes, 0, -start)
  }
  return bytes
}

/** Resolves to the digest. */
async function pushContent(registry: Registry, size: number, { signal }: Bench): Promise<string> {
  const begun = await expectStatus(202, `${registry.url}/v2/${repository}/blobs/uploads/`, {
    method: 'POST',
    signal,
  })
  const hash = createHash('sha256')
  const blocks = function* () {
    for (let at = 0; at < size; at += blockBytes) {
      const block = contentAt(at, Math.min(blockBytes, size - at))
      hash.update(block)
      yield block
    }
  }
  const url = new URL(begun.headers.location ?? '', registry.url)
  const call = http.request(url, {
    method: 'PATCH',
    agent: false,
    signal,
    headers: { 'content-length': size },
  })
  const answered = once(call, 'response') as Promise<[http.IncomingMessage]>
  await pipeline(blocks, call)
  const [answer] = await answered
  if (answer.statusCode !== 202) throw new AnswerError(`PATCH answered ${answer.statusCode}, expected 202`)
  answer.resume()
  const digest = `sha256:${hash.digest('hex')}`
  url.searchParams.set('digest', digest)
  await expectStatus(201, url.href, { method: 'PUT', signal })
  return digest
}

/** Holes instead of zeros in the files of this size: a model of 40 GB is on the disk once then, not twice. */
async function digHoles({ dataDir }: Registry, size: number, bench: Bench): Promise<void> {
  for (const entry of await readdir(dataDir, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name)
    if (entry.isFile() && (await stat(file)).size === size)
      await runCommand('fallocate', ['--dig-holes', file], bench)
  }
}

const movedTo = (node: Registry, bench: Bench): Promise<number> =>
  sumOf('shoal_exchange_received_bytes_total', node, bench)

/** Of all series of a metric. */
async function sumOf(metric: string, { url }: Registry, { signal }: Bench): Promise<number> {
  const { body } = await expectStatus(200, `${url}/metrics`, { signal })
  const values = body.toString().matchAll(new RegExp(`^${metric}(?:\\{[^}]*\\})? (\\d+)$`, 'gm'))
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0)
}

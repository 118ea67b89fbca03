/** What a node takes that nobody uses: a minute after its start, a minute after a load, and in a cluster of eight. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Bench,
  type Measurement,
  makeBlobs,
  openFolder,
  openPair,
  type Pair,
  sizeText,
} from '../bench.ts'
import { runCommand } from '../command.ts'
import type { Line } from '../line.ts'
import { pullBlob, pushBlob } from '../load.ts'
import { anonymousMiB, residentMiB } from '../resident.ts'
import { shoal } from '../shoal.ts'
import { openRegistry, type Registry } from '../subject.ts'
import { useOf } from '../use.ts'

const repository = 'bench/rest'
const clients = 4
const restMs = 60_000
const lookMs = 20_000
const nodes = 8

export const rest: Measurement = {
  name: 'rest',
  async run(bench) {
    await using folder = await openFolder(bench, 'rest')
    await using pair = await openPair(bench, folder.path)
    // Side by side, since nobody does anything in either.
    const [idle, cluster] = await Promise.all([atRest(bench, pair), inCluster(bench, folder.path)])
    return [...idle, ...(await afterLoad(bench, pair, folder.path)), ...cluster]
  },
}

async function atRest(bench: Bench, pair: Pair): Promise<Line[]> {
  bench.say('at rest for a minute')
  await delay(restMs, undefined, bench)
  const idle = await bothOf(pair, (registry) => residentMiB(registry.pid))
  const what = 'resident memory, a minute after the start'
  return [{ what, unit: 'MiB', ...idle, reach: { kind: 'value', under: 96 } }]
}

/** Once, not in turns: it takes a minute, and hardly varies. */
async function afterLoad(bench: Bench, pair: Pair, folder: string): Promise<Line[]> {
  const files = await makeBlobs(bench, folder, clients, bench.blobBytes)
  for (const side of [pair.shoal, pair.reference]) {
    const contents = await Promise.all(files.map((file) => file.renew()))
    await Promise.all(contents.map((content) => pushBlob(side, repository, content, bench)))
    await Promise.all(contents.map((content) => pullBlob(side, repository, content, bench)))
  }
  bench.say('at rest for a minute after a load')
  await delay(restMs, undefined, bench)
  const after = await bothOf(pair, (registry) => residentMiB(registry.pid))
  const own = await bothOf(pair, (registry) => anonymousMiB(registry.pid))
  const load = `${clients} × ${sizeText(bench.blobBytes)} pushed and pulled`
  return [
    {
      what: `resident memory, a minute after ${load}`,
      unit: 'MiB',
      ...after,
      reach: { kind: 'value', under: 110 },
    },
    { what: 'anonymous part of that', unit: 'MiB', ...own, reach: { kind: 'none' } },
  ]
}

async function bothOf(
  pair: Pair,
  measure: (registry: Registry) => Promise<number>,
): Promise<{ shoal: number[]; reference: number[] }> {
  return { shoal: [await measure(pair.shoal)], reference: [await measure(pair.reference)] }
}

async function inCluster(bench: Bench, folder: string): Promise<Line[]> {
  await using stack = new AsyncDisposableStack()
  const first = stack.use(await openRegistry(bench.shoal, path.join(folder, 'node-0'), bench))
  const { stdout } = await runCommand(bench.shoalCommand, ['token', '--data', first.dataDir], bench)
  const member = shoal(bench.shoalCommand, ['--join', stdout.trim()])
  const all = [first]
  for (let number = 1; number < nodes; number += 1)
    all.push(stack.use(await openRegistry(member, path.join(folder, `node-${number}`), bench)))
  bench.say(`at rest in a cluster of ${nodes} for a minute and a half`)
  await delay(restMs * 1.5, undefined, bench)
  const uses = await Promise.all(all.map(({ pid }) => useOf(pid, lookMs, bench)))
  const resident = await Promise.all(all.map(({ pid }) => residentMiB(pid)))
  const reference: number[] = []
  const where = `of a node in a cluster of ${nodes} at rest`
  return [
    {
      what: `processor ${where}`,
      unit: '% of a core',
      shoal: uses.map(({ percent }) => percent),
      reference,
      reach: { kind: 'value', under: 0.2 },
    },
    {
      what: `wake-ups ${where}`,
      unit: '/s',
      shoal: uses.map(({ wakeUpsPerSecond }) => wakeUpsPerSecond),
      reference,
      reach: { kind: 'value', under: 20 },
    },
    { what: `resident memory ${where}`, unit: 'MiB', shoal: resident, reference, reach: { kind: 'none' } },
  ]
}

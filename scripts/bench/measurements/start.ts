/**
 * From the spawn to the first 200 of `/v2/`, with an empty store and with a hundred thousand tags on a million blobs; what that many take
 * of memory at rest, and how long commands wait for such a node.
 */
import { access, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Bench, type Measurement, openFolder, type Samples, settle } from '../bench.ts'
import { blobsPerImage } from '../blob-writer.ts'
import { runCommand } from '../command.ts'
import { fillStore } from '../full-store.ts'
import type { Line } from '../line.ts'
import { anonymousMiB, residentMiB } from '../resident.ts'
import { builtProgram } from '../shoal.ts'
import { openRegistry, type Registry } from '../subject.ts'

// One start is quick and varies much, so each turn is several.
const startsPerTurn = 3
const restMs = 60_000

export const start: Measurement = {
  name: 'start',
  async run(bench) {
    const reach = { kind: 'value', under: 300 } as const
    bench.say('first answer, empty store')
    const empty = await emptyStarts(bench)
    return [
      { what: 'first answer after start, empty store', unit: 'ms', ...empty, reach },
      ...(await fullStore(bench)),
    ]
  },
}

async function emptyStarts(bench: Bench): Promise<Samples> {
  await using folder = await openFolder(bench, 'start')
  const samples: Samples = { shoal: [], reference: [] }
  for (let turn = 0; turn < bench.reps * startsPerTurn; turn += 1) {
    for (const side of ['shoal', 'reference'] as const) {
      await settle(bench)
      const place = path.join(folder.path, `${side}-${turn}`)
      await using registry = await openRegistry(bench[side], place, bench)
      samples[side].push(registry.firstAnswerMs)
    }
  }
  return samples
}

async function fullStore(bench: Bench): Promise<Line[]> {
  await using folder = await openFolder(bench, 'full')
  const place = bench.filledDir ?? folder.path
  const dataDir = path.join(place, 'data')
  const counts = [bench.tagCount, bench.tagCount * blobsPerImage].map((count) => count.toLocaleString('en'))
  const full = `${counts[0]} tags and ${counts[1]} blobs`
  if (!(await isThere(dataDir))) {
    bench.say(`making a store of ${full}`)
    // Nobody takes one for full whose making was interrupted.
    const half = `${dataDir}.half`
    await rm(half, { recursive: true, force: true })
    await fillStore(half, bench.tagCount, bench)
    await rename(half, dataDir)
  }
  bench.say(`first answer, ${full}`)
  const reach = { kind: 'value', under: 300 } as const
  const shoal = await startsOn(bench, place)
  const lines: Line[] = [
    { what: `first answer after start, ${full}`, unit: 'ms', shoal, reference: [], reach },
  ]
  await using empty = await openRegistry(bench.shoal, path.join(folder.path, 'empty'), bench)
  await using registry = await openRegistry(bench.shoal, place, bench)
  lines.push(...(await memoryAtRest(bench, { empty, registry }, full)))
  lines.push(...(await commandTimes(bench, registry)))
  return lines
}

async function startsOn(bench: Bench, place: string): Promise<number[]> {
  const samples: number[] = []
  for (let turn = 0; turn < bench.reps * startsPerTurn; turn += 1) {
    await settle(bench)
    await using registry = await openRegistry(bench.shoal, place, bench)
    samples.push(registry.firstAnswerMs)
  }
  return samples
}

/** Once: it takes a minute, and hardly varies. */
async function memoryAtRest(
  bench: Bench,
  { empty, registry }: { empty: Registry; registry: Registry },
  full: string,
): Promise<Line[]> {
  bench.say(`at rest for a minute, ${full}`)
  await delay(restMs, undefined, bench)
  const line = async (
    what: string,
    measure: (pid: number) => Promise<number>,
    under: number,
  ): Promise<Line> => {
    const added = (await measure(registry.pid)) - (await measure(empty.pid))
    const reach = { kind: 'value', under } as const
    return { what, unit: 'MiB', shoal: [added], reference: [], reach }
  }
  return [
    await line(`resident memory that ${full} add at rest`, residentMiB, 40),
    await line('· without mapped files', anonymousMiB, 40),
  ]
}

/** Of commands that ask a running node: from a checkout, where a shell script looks for newer sources first, and as a package has it. */
async function commandTimes(bench: Bench, { dataDir }: Registry): Promise<Line[]> {
  const lines: Line[] = []
  const ways = [
    { from: 'a checkout', command: [bench.shoalCommand], under: 150 },
    { from: 'a package', command: [process.execPath, builtProgram], under: 100 },
  ]
  for (const { from, command, under } of ways) {
    const [file = '', ...args] = command
    for (const name of ['ls', 'status']) {
      bench.say(`shoal ${name} from ${from}`)
      const shoal: number[] = []
      for (let turn = 0; turn < bench.reps * startsPerTurn; turn += 1)
        shoal.push((await runCommand(file, [...args, name, '--data', dataDir], bench)).elapsedMs)
      const reach = { kind: 'value', under } as const
      lines.push({ what: `shoal ${name} from ${from}`, unit: 'ms', shoal, reference: [], reach })
    }
  }
  return lines
}

async function isThere(folder: string): Promise<boolean> {
  try {
    await access(folder)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

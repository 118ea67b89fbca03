/** From the spawn to the first 200 of `/v2/`, with an empty store and with a hundred thousand manifests. */
import { access } from 'node:fs/promises'
import path from 'node:path'
import { type Bench, type Measurement, openFolder, type Samples, settle } from '../bench.ts'
import { runCommand } from '../command.ts'
import { fillManifests } from '../fill.ts'
import type { Line } from '../line.ts'
import { openRegistry } from '../subject.ts'

// One start is quick and varies much, so each turn is several.
const startsPerTurn = 3

export const start: Measurement = {
  name: 'start',
  async run(bench) {
    const reach = { kind: 'value', under: 300 } as const
    bench.say('first answer, empty store')
    const empty = await emptyStarts(bench)
    bench.say(`first answer, ${bench.manifestCount} manifests stored`)
    const full = await fullStarts(bench)
    const commands = await commandTimes(bench)
    const count = bench.manifestCount.toLocaleString('en')
    return [
      { what: 'first answer after start, empty store', unit: 'ms', ...empty, reach },
      { what: `first answer after start, ${count} manifests`, unit: 'ms', shoal: full, reference: [], reach },
      ...commands,
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

/** Of commands that ask a running node; 150 ms is meant for a checkout, where the shell script looks for newer sources. */
async function commandTimes(bench: Bench): Promise<Line[]> {
  await using folder = await openFolder(bench, 'commands')
  await using registry = await openRegistry(bench.shoal, folder.path, bench)
  const lines: Line[] = []
  for (const name of ['ls', 'status']) {
    bench.say(`shoal ${name}`)
    const samples: number[] = []
    for (let turn = 0; turn < bench.reps * startsPerTurn; turn += 1) {
      const ran = await runCommand(bench.shoalCommand, [name, '--data', registry.dataDir], bench)
      samples.push(ran.elapsedMs)
    }
    const reach = { kind: 'value', under: 150 } as const
    lines.push({ what: `shoal ${name}`, unit: 'ms', shoal: samples, reference: [], reach })
  }
  return lines
}

async function fullStarts(bench: Bench): Promise<number[]> {
  await using folder = await openFolder(bench, 'full')
  const place = bench.filledDir ?? folder.path
  if (!(await isFilled(place))) await fill(bench, place)
  const samples: number[] = []
  for (let turn = 0; turn < bench.reps * startsPerTurn; turn += 1) {
    await settle(bench)
    await using registry = await openRegistry(bench.shoal, place, bench)
    samples.push(registry.firstAnswerMs)
  }
  return samples
}

async function fill(bench: Bench, place: string): Promise<void> {
  bench.say(`putting ${bench.manifestCount} manifests`)
  await using registry = await openRegistry(bench.shoal, place, bench)
  await fillManifests(registry, bench.manifestCount, bench)
}

async function isFilled(place: string): Promise<boolean> {
  try {
    await access(path.join(place, 'data'))
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

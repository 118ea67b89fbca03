/** Measurements between nodes on shaped links of this machine, chosen on the command line, as a table of figures and what to reach. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { CodedError } from '../../../src/base/base.ts'
import type { Node } from '../cluster/nodes.ts'
import { BlobMaker } from '../content.ts'
import { dockerRegistry } from '../docker-registry.ts'
import { OptionError } from '../options.ts'
import { mappedMiB, peakMiB } from '../resident.ts'
import { shoal } from '../shoal.ts'
import type { Fanout, Figure, Measurement, RegimeRow, SwarmBench } from './bench.ts'
import { type Options, parseOptions } from './options.ts'
import { drawFanout } from './plot.ts'
import { renderFigures, renderRegimes } from './table.ts'

export interface BenchCommand {
  /** As it is called. */
  command: string
  usage: string
  measurements: readonly Measurement[]
  /** Options that differ from the usual ones when they are not given. */
  defaults?: { hosts?: string; mbit?: string }
}

/** Returns the exit code. */
export async function runMeasurements(bench: BenchCommand): Promise<number> {
  // Every process that is started listens for the exit of this one.
  process.setMaxListeners(0)
  const options = readOptions(bench)
  if (options === undefined) return 2
  if (options.help) {
    process.stdout.write(usageOf(bench))
    return 0
  }
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => controller.abort(new Error(name)))
  const root = await mkdtemp(path.join(options.dir, 'swarm-'))
  try {
    return await run(bench, options, root, controller.signal)
  } finally {
    if (options.keepFolder) process.stderr.write(`kept ${root}\n`)
    else await rm(root, { recursive: true, force: true })
  }
}

async function run(
  { command, measurements }: BenchCommand,
  options: Options,
  root: string,
  signal: AbortSignal,
): Promise<number> {
  const say = (text: string): void => void process.stderr.write(`· ${text}\n`)
  const peaks: { peak: number; mapped: number }[] = []
  const fanouts: Fanout[] = []
  const regimes: RegimeRow[] = []
  const bench: SwarmBench = {
    ...options,
    maker: new BlobMaker(),
    root,
    signal,
    memory: {
      async note(nodes: readonly Node[]) {
        for (const { pid } of nodes) peaks.push({ peak: await peakMiB(pid), mapped: await mappedMiB(pid) })
      },
    },
    keepRegime: (row) => void regimes.push(row),
    keep: (kept) => void fanouts.push(kept),
    say,
  }
  const heading = await describe(command, signal)
  const figures: Figure[] = []
  let failed = false
  for (const measurement of measurements) {
    if (signal.aborted) break
    if (options.only.length > 0 && !options.only.includes(measurement.name)) continue
    if (measurement.namespaces === true && process.getuid?.() !== 0) {
      say(`${measurement.name} is left out: it needs root, for network namespaces`)
      continue
    }
    try {
      figures.push(...(await measurement.run(bench)))
    } catch (error) {
      failed = true
      say(`${measurement.name} failed: ${error instanceof CodedError ? error.message : inspect(error)}`)
    }
  }
  const [most] = peaks.toSorted((a, b) => b.peak - a.peak)
  if (most !== undefined) {
    figures.push({ what: 'memory of any node', unit: 'MiB', values: [most.peak], reach: { atMost: 250 } })
    figures.push({ what: 'of it what all nodes share (Node itself)', unit: 'MiB', values: [most.mapped] })
  }
  const tables = [
    regimes.length === 0 ? [] : renderRegimes(regimes),
    figures.length === 0 ? [] : renderFigures(figures),
  ]
  process.stdout.write(`${[heading.join('\n'), ...tables.flat()].join('\n\n')}\n`)
  if (options.json !== undefined) await writeFile(options.json, JSON.stringify({ heading, regimes, figures }))
  const drawn = middle(fanouts)
  if (options.plot !== undefined && drawn !== undefined) await writeFile(options.plot, drawFanout(drawn))
  return signal.aborted ? 130 : failed ? 1 : 0
}

/** The turn whose slowest host is the median. */
function middle(fanouts: readonly Fanout[]): Fanout | undefined {
  const slowest = ({ swarm }: Fanout): number => Math.max(...swarm.map((curve) => curve.at(-1)?.atMs ?? 0))
  return fanouts.toSorted((a, b) => slowest(a) - slowest(b))[Math.floor((fanouts.length - 1) / 2)]
}

function usageOf({ usage, measurements }: BenchCommand): string {
  return usage.replace('NAMES', measurements.map(({ name }) => name).join(', '))
}

function readOptions(bench: BenchCommand): Options | undefined {
  const names = bench.measurements.map(({ name }) => name)
  try {
    return parseOptions(process.argv.slice(2), names, bench.defaults)
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    process.stderr.write(`${error.message}\n\n${usageOf(bench)}`)
    return undefined
  }
}

async function describe(command: string, signal: AbortSignal): Promise<string[]> {
  const cpus = os.cpus()
  const memory = `${Math.round(os.totalmem() / 2 ** 30)} GiB`
  const versions = [shoal(''), dockerRegistry].map(
    async (subject) => `${subject.name} ${await subject.version({ signal })}`,
  )
  return [
    `date     ${new Date().toISOString()}`,
    `machine  ${cpus.length} × ${cpus[0]?.model ?? 'unknown processor'}, ${memory}, load before ${os.loadavg()[0]?.toFixed(1)}`,
    `versions ${[...(await Promise.all(versions)), `node ${process.version}`].join('; ')}`,
    `command  ${command} -- ${process.argv.slice(2).join(' ')}`.trimEnd(),
  ]
}

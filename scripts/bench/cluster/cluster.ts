/** `npm run bench:cluster`: what a cluster of nodes on this machine does, as a table of figures and what they have to reach. */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { CodedError } from '../../../src/base/base.ts'
import { OptionError } from '../options.ts'
import { shoal } from '../shoal.ts'
import type { ClusterBench, Figure, Measurement } from './bench.ts'
import { away } from './measurements/away.ts'
import { flood } from './measurements/flood.ts'
import { heal } from './measurements/heal.ts'
import { idle } from './measurements/idle.ts'
import { join } from './measurements/join.ts'
import { spread } from './measurements/spread.ts'
import { parseOptions, usage } from './options.ts'
import { renderFigures } from './table.ts'

const measurements: Measurement[] = [spread, heal, away, join, idle, flood]
const names = measurements.map(({ name }) => name)

async function main(): Promise<number> {
  const options = readOptions()
  if (options === undefined) return 2
  if (options.help) {
    process.stdout.write(usage.replace('NAMES', names.join(', ')))
    return 0
  }
  const root = await mkdtemp(path.join(options.dir, 'shoal-cluster-'))
  const say = (text: string): void => void process.stderr.write(`· ${text}\n`)
  const bench: ClusterBench = { ...options, root, say }
  const figures: Figure[] = []
  let failed = false
  try {
    for (const measurement of measurements) {
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
    process.stdout.write(`${(await heading()).join('\n')}\n\n${renderFigures(figures)}\n`)
    return failed ? 1 : 0
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

function readOptions() {
  try {
    return parseOptions(process.argv.slice(2), names)
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    process.stderr.write(`${error.message}\n\n${usage.replace('NAMES', names.join(', '))}`)
    return undefined
  }
}

async function heading(): Promise<string[]> {
  const cpus = os.cpus()
  const { signal } = new AbortController()
  const memory = `${Math.round(os.totalmem() / 2 ** 30)} GiB`
  return [
    `date     ${new Date().toISOString()}`,
    `machine  ${cpus.length} × ${cpus[0]?.model ?? 'unknown processor'}, ${memory}, load ${os.loadavg()[0]?.toFixed(1)}`,
    `versions Shoal ${await shoal('').version({ signal })}, node ${process.version}`,
    `command  npm run bench:cluster -- ${process.argv.slice(2).join(' ')}`.trimEnd(),
  ]
}

process.exitCode = await main()

/** `npm run bench`: Shoal beside Debian's docker-registry, as a table of medians and ratios. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { inspect } from 'node:util'
import { CodedError } from '../../src/base/base.ts'
import { type Bench, type Measurement, mib } from './bench.ts'
import { runCommand } from './command.ts'
import { BlobMaker } from './content.ts'
import { dockerRegistry } from './docker-registry.ts'
import { judge, type Line } from './line.ts'
import { describeRun } from './machine.ts'
import { accounts } from './measurements/accounts.ts'
import { blobGet } from './measurements/blob-get.ts'
import { blobPush } from './measurements/blob-push.ts'
import { firstGet } from './measurements/first-get.ts'
import { importing } from './measurements/import.ts'
import { manifests } from './measurements/manifests.ts'
import { memory } from './measurements/memory.ts'
import { models } from './measurements/models.ts'
import { rest } from './measurements/rest.ts'
import { side } from './measurements/side.ts'
import { skopeo } from './measurements/skopeo.ts'
import { smallMachine } from './measurements/small-machine.ts'
import { start } from './measurements/start.ts'
import { tls } from './measurements/tls.ts'
import { verify } from './measurements/verify.ts'
import { OptionError, type Options, parseOptions, usage } from './options.ts'
import { shoal } from './shoal.ts'
import { renderTable } from './table.ts'

/** The first is what is measured where nothing else was asked for. */
const measurements: Measurement[] = [
  side,
  blobGet,
  firstGet,
  blobPush,
  skopeo,
  manifests,
  accounts,
  tls,
  memory,
  rest,
  start,
  smallMachine,
  verify,
  importing,
  models,
]
const names = measurements.map(({ name }) => name)
const packages = {
  'docker-registry': 'docker-registry',
  curl: 'curl',
  openssl: 'openssl',
  skopeo: 'skopeo',
  wrk: 'wrk',
}

async function main(): Promise<number> {
  const options = readOptions()
  if (options === undefined) return 2
  if (options.help) {
    process.stdout.write(usage.replace('NAMES', names.join(', ')))
    return 0
  }
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => controller.abort(new Error(name)))
  const { signal } = controller
  if (!(await hasTools(signal))) return 2
  const root = await mkdtemp(path.join(options.dir, 'shoal-bench-'))
  try {
    await run(options, root, signal)
    return 0
  } catch (error) {
    process.stderr.write(
      signal.aborted ? 'stopped\n' : `${error instanceof CodedError ? error.message : inspect(error)}\n`,
    )
    return signal.aborted ? 130 : 1
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

async function run(options: Options, root: string, signal: AbortSignal): Promise<void> {
  const bench: Bench = {
    shoal: shoal(options.shoal),
    reference: dockerRegistry,
    shoalCommand: options.shoal,
    reps: options.reps,
    blobBytes: options.blobMiB * mib,
    loadSeconds: options.seconds,
    tagCount: options.tags,
    filledDir: options.filled,
    maker: new BlobMaker(),
    root,
    signal,
    say: (text) => process.stderr.write(`· ${text}\n`),
  }
  const heading = await describeRun([bench.shoal, bench.reference], root, { signal })
  const wanted = options.all ? names : options.only.length > 0 ? options.only : [side.name]
  const lines: Line[] = []
  for (const measurement of measurements) {
    if (!wanted.includes(measurement.name)) continue
    lines.push(...(await measurement.run(bench)))
  }
  const footing = `Medians of ${options.reps} turns. ratio: Shoal over the reference; turns: its lowest and highest.`
  process.stdout.write(`${heading.join('\n')}\n\n${renderTable(lines)}\n\n${footing}\n`)
  if (options.json === undefined) return
  const report = { heading, lines: lines.map((line) => ({ ...line, median: judge(line) })) }
  await writeFile(options.json, `${JSON.stringify(report, undefined, 2)}\n`)
}

function readOptions(): Options | undefined {
  try {
    return parseOptions(process.argv.slice(2), names)
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    process.stderr.write(`${error.message}\n\n${usage.replace('NAMES', names.join(', '))}`)
    return undefined
  }
}

async function hasTools(signal: AbortSignal): Promise<boolean> {
  const missing: string[] = []
  for (const [tool, name] of Object.entries(packages)) {
    const { stdout } = await runCommand('sh', ['-c', `command -v ${tool} || :`], { signal })
    if (stdout.trim() === '') missing.push(name)
  }
  if (missing.length > 0) process.stderr.write(`missing; on Debian: apt-get install ${missing.join(' ')}\n`)
  return missing.length === 0
}

process.exitCode = await main()

/** `npm run fuzz`: Jazzer.js on each target for a while, guided by what of the decoders an input reaches. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { Semaphore } from '../../src/base/base.ts'
import { chosenBy, seedsOf } from './target.ts'
import { type TargetName, targetNames, targets } from './targets.ts'

const usage = `npm run fuzz -- [options] [TARGET…]

  --minutes N     for each target (default 1)
  --at-once N     targets that run beside each other (default 1)
  --seed N        of the mutations (default by chance)
  --keep DIR      where inputs that break something go (default a new temporary folder)

Targets: ${targetNames.join(', ')} (default all).
`
const root = path.join(import.meta.dirname, '../..')
/** What reached something new is kept there, so that the next run goes on from it. */
const corpora = path.join(root, 'node_modules/.cache/fuzz')
const jazzer = fileURLToPath(import.meta.resolve('@jazzer.js/core/dist/cli.js'))
/** What is guided by: our code, and the CBOR decoder under it. */
const instrumented = ['src/', 'node/', 'cborg/lib/']
const maxInputBytes = 4096
const timeoutMs = 10_000
const maxMemoryMiB = 1500
const shownLines = 40

interface Options {
  seconds: number
  atOnce: number
  seed: string | undefined
  keep: string | undefined
  names: TargetName[]
}

async function main(): Promise<number> {
  const options = read(process.argv.slice(2))
  if (options === undefined) {
    process.stderr.write(usage)
    return 2
  }
  const turns = new Semaphore(options.atOnce)
  const areRight = await Promise.all(options.names.map((name) => turns.run(() => fuzz(name, options))))
  const failed = areRight.filter((isRight) => !isRight).length
  process.stdout.write(`${options.names.length - failed} targets without a finding, ${failed} with one\n`)
  return failed === 0 ? 0 : 1
}

function read(args: string[]): Options | undefined {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        minutes: { type: 'string', default: '1' },
        'at-once': { type: 'string', default: '1' },
        seed: { type: 'string' },
        keep: { type: 'string' },
      },
    })
    const seconds = Math.round(Number(values.minutes) * 60)
    const atOnce = Number(values['at-once'])
    const names = targetNames.filter((name) => positionals.length === 0 || positionals.includes(name))
    const isKnown = positionals.every((word) => targetNames.some((name) => name === word))
    if (!isKnown || !(seconds > 0) || !Number.isSafeInteger(atOnce) || atOnce < 1) return undefined
    return { seconds, atOnce, seed: values.seed, keep: values.keep, names }
  } catch (error) {
    if (error instanceof TypeError) return undefined
    throw error
  }
}

/** Resolves to whether nothing was found. What was found lies in a folder that is printed. */
async function fuzz(name: TargetName, { seconds, seed, keep }: Options): Promise<boolean> {
  const work = mkdtempSync(path.join(tmpdir(), `shoal-fuzz-${name}-`))
  const seeds = path.join(work, 'seeds')
  const finds = path.join(keep ?? path.join(work, 'found'), name)
  const corpus = path.join(corpora, name)
  for (const folder of [seeds, finds, corpus]) mkdirSync(folder, { recursive: true })
  for (const [file, bytes] of seedsOf(targets[name])) writeFileSync(path.join(seeds, file), bytes)

  const { code, output } = await run(name, [
    ...instrumented.flatMap((part) => ['--includes', part]),
    ...['--excludes', 'nothing-else', '--timeout', String(timeoutMs)],
    path.join(import.meta.dirname, 'jazzer-target.mjs'),
    corpus,
    seeds,
    '--',
    `-max_total_time=${seconds}`,
    `-max_len=${maxInputBytes}`,
    `-rss_limit_mb=${maxMemoryMiB}`,
    `-artifact_prefix=${finds}/`,
    ...(seed === undefined ? [] : [`-seed=${seed}`]),
  ])
  const found = readdirSync(finds)
  if (code === 0 && found.length === 0) {
    process.stdout.write(`${name}: nothing found in ${progressIn(output)}\n`)
    rmSync(work, { recursive: true })
    return true
  }
  const told = output.split('\n').filter((line) => !line.startsWith('#'))
  process.stdout.write(`${told.slice(-shownLines).join('\n')}\n${name}: ended with ${code}\n`)
  for (const file of found) process.stdout.write(`  ${describe(name, path.join(finds, file))}\n`)
  return false
}

/** As libFuzzer counts: how many inputs it tried, and how much of the code the best of them reach. */
function progressIn(output: string): string {
  const runs = [...output.matchAll(/^#(\d+)\s/gm)].at(-1)?.[1] ?? '?'
  const reached = [...output.matchAll(/cov: (\d+) ft: \d+ corp: (\d+)/g)].at(-1)
  return `${runs} inputs; ${reached?.[2] ?? '?'} kept, which reach ${reached?.[1] ?? '?'} places`
}

/** Without the first byte, which chooses the decoder: what was found stays what it is when decoders are added. */
function describe(name: TargetName, file: string): string {
  const decoder = chosenBy(targets[name], readFileSync(file))
  return `mend ${decoder}, and keep it: tail -c +2 ${file} >test/fuzz/found/${name}/${decoder}/WHAT-IT-SHOWS`
}

function run(name: TargetName, args: string[]): Promise<{ code: number | null; output: string }> {
  const preload = pathToFileURL(path.join(import.meta.dirname, 'strip-types.ts'))
  const child = spawn(process.execPath, ['--import', preload.href, jazzer, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, FUZZ_TARGET: name, NODE_OPTIONS: '--disable-warning=ExperimentalWarning' },
  })
  let output = ''
  const keep = (text: string): void => {
    output = (output + text).slice(-64 * 1024)
  }
  child.stdout.setEncoding('utf8').on('data', keep)
  child.stderr.setEncoding('utf8').on('data', keep)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })
}

process.exitCode = await main()

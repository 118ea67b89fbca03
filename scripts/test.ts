/** Runs every test, says what was skipped and why, and ends with `N passed, N failed`; arguments go to vitest. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type RunSummary, SUMMARY_FILE } from '../test/reporter.ts'

const root = path.dirname(import.meta.dirname)
const vitest = path.join(root, 'node_modules/vitest/vitest.mjs')
// Tests start hundreds of processes; with this, most of them need not compile what another one has.
const compileCache = path.join(root, 'node_modules/.cache/node')

const summary = await run(process.argv.slice(2))
console.log(report(summary))
process.exitCode = failures(summary) === 0 ? 0 : 1

async function run(args: string[]): Promise<RunSummary> {
  const major = Number(process.versions.node.split('.')[0])
  if (major < 24)
    return broken(
      `this is Node ${process.versions.node}, Shoal needs 24 or newer: run it as \`npm ci && npm test\``,
    )
  if (!existsSync(vitest)) return broken('node_modules is missing or incomplete: run `npm ci` first')

  const folder = mkdtempSync(path.join(tmpdir(), 'shoal-test-'))
  const file = path.join(folder, 'summary.json')
  try {
    const end = await vitestRun(file, args)
    if (!existsSync(file)) return broken(`vitest ended before its tests did (${end})`)
    const found: RunSummary = JSON.parse(readFileSync(file, 'utf8'))
    // Whatever vitest holds against the run has to show in the count.
    if (end !== 'exit code 0' && failures(found) === 0) found.broken.push(`vitest failed (${end})`)
    if (found.passed + found.skipped.length + failures(found) === 0) found.broken.push('no test was found')
    return found
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function vitestRun(summaryFile: string, args: string[]): Promise<string> {
  const reporters = [process.env.CI === 'true' ? 'dot' : 'default', path.join(root, 'test/reporter.ts')]
  const child = spawn(
    process.execPath,
    [vitest, 'run', ...reporters.map((reporter) => `--reporter=${reporter}`), ...args],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { NODE_COMPILE_CACHE: compileCache, ...process.env, [SUMMARY_FILE]: summaryFile },
    },
  )
  // The child gets the terminal's interrupt too; this process stays to report how it ended.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`))
  })
}

function broken(what: string): RunSummary {
  return { passed: 0, failed: 0, skipped: [], broken: [what] }
}

function failures({ failed, broken }: RunSummary): number {
  return failed + broken.length
}

function report(summary: RunSummary): string {
  const lines: string[] = ['']
  const byReason = Map.groupBy(summary.skipped, ({ reason }) => reason)
  for (const [reason, tests] of byReason) {
    lines.push(`Skipped ${tests.length}: ${reason}`)
    lines.push(...tests.map(({ test }) => `  ${test}`))
  }
  lines.push(...summary.broken.map((what) => `Failed: ${what}`))
  const counts = [`${summary.passed} passed`, `${failures(summary)} failed`]
  if (summary.skipped.length > 0) counts.push(`${summary.skipped.length} skipped`)
  lines.push('', counts.join(', '))
  return lines.join('\n')
}

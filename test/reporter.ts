/** Tells `scripts/test.ts` how a run ended: how many passed and failed, and what was skipped for which reason. */
import { writeFileSync } from 'node:fs'
import type { Reporter, TestCase, TestModule, TestRunEndReason } from 'vitest/node'

declare module 'vitest' {
  interface TaskMeta {
    /** What this machine lacks to run the test or suite. */
    lacks?: string
  }
}

export interface RunSummary {
  passed: number
  failed: number
  skipped: { test: string; reason: string }[]
  /** What went wrong outside any test; each counts as one failure. */
  broken: string[]
}

/** The environment variable that names the file to which the summary goes. */
export const SUMMARY_FILE = 'TEST_SUMMARY'

function summarize(
  modules: readonly TestModule[],
  unhandled: readonly { message: string }[],
  reason: TestRunEndReason,
): RunSummary {
  const summary: RunSummary = { passed: 0, failed: 0, skipped: [], broken: [] }
  for (const module of modules) {
    let failures = 0
    let tests = 0
    for (const test of module.children.allTests()) {
      tests++
      const { state } = test.result()
      if (state === 'passed') summary.passed++
      else if (state === 'skipped') summary.skipped.push({ test: nameOf(test), reason: reasonOf(test) })
      else failures++
    }
    summary.failed += failures
    // A file that does not load, or a hook that throws, fails the module without failing a test.
    const state = module.state()
    if (failures === 0 && state !== 'passed' && state !== 'skipped')
      summary.broken.push(
        `${module.relativeModuleId} ${state === 'failed' ? 'failed' : 'did not run to its end'}`,
      )
    else if (tests === 0) summary.broken.push(`${module.relativeModuleId} holds no test`)
  }
  for (const error of unhandled) summary.broken.push(`error outside any test: ${error.message}`)
  if (reason === 'interrupted') summary.broken.push('the run was interrupted')
  return summary
}

export default class SummaryReporter implements Reporter {
  onTestRunEnd(
    modules: readonly TestModule[],
    unhandled: readonly { message: string }[],
    reason: TestRunEndReason,
  ): void {
    const file = process.env[SUMMARY_FILE]
    if (file !== undefined) writeFileSync(file, JSON.stringify(summarize(modules, unhandled, reason)))
  }
}

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`
}

function reasonOf(test: TestCase): string {
  const result = test.result()
  if (result.state === 'skipped' && result.note !== undefined) return result.note
  let task: TestCase | TestCase['parent'] = test
  while (task.type !== 'module') {
    const { lacks } = task.meta()
    if (lacks !== undefined) return lacks
    task = task.parent
  }
  return test.options.mode === 'todo' ? 'not written yet' : 'no reason given'
}

/** What Jazzer.js loads, which does not find a module in TypeScript by itself. FUZZ_TARGET names the target. */
import { runTarget } from './target.ts'
import { targets } from './targets.ts'

const target = targets[process.env.FUZZ_TARGET ?? '']
if (target === undefined) throw new Error(`FUZZ_TARGET=${process.env.FUZZ_TARGET} is none`)

export function fuzz(data) {
  return runTarget(target, data)
}

/** Whether this Node is one that Shoal runs on. */
import { readPackage } from '../version.ts'
import { type Check, type Finding, fault, fine } from './check.ts'

/** `required` is as package.json has it, such as `>=24` or `>=22.18`. */
export function judgeRuntime(version: string, required: string): Finding[] {
  const wanted = numbersOf(required)
  const actual = numbersOf(version)
  const differing = wanted.findIndex((number, index) => number !== (actual[index] ?? 0))
  const isOlder = differing >= 0 && (actual[differing] ?? 0) < (wanted[differing] ?? 0)
  const words = wanted.join('.')
  if (!isOlder) return [fine(`Node ${version} is new enough (${words} or newer)`)]
  return [
    fault(
      `Node is ${version}, and Shoal needs ${words} or newer`,
      'install a newer Node, such as from nodejs.org',
    ),
  ]
}

function numbersOf(text: string): number[] {
  return [...text.matchAll(/\d+/g)].map(([digits]) => Number(digits))
}

export const runtime: Check = {
  name: 'runtime',
  async examine() {
    const { engines } = await readPackage()
    return judgeRuntime(process.versions.node, engines.node)
  },
}

/** "Follow a pull" in docs/architecture.md: the files are there, few, of a size that can be read, and each is called by one before it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const section = read('docs/architecture.md')
  .split(/^## /m)
  .find((part) => part.startsWith('Follow a pull'))
const steps = [...(section ?? '').matchAll(/^\| (\d+) \| `([^`]+)` \| ([^|]*) \|/gm)].map(
  ([, , path = '', called = '']) => ({
    path,
    text: read(path),
    call: called.match(/`(\w+\.\w+)`/)?.[1],
    from: called.match(/from (\d+)/)?.[1],
  }),
)

it('takes at most 15 files, none of which is long', () => {
  expect(steps.length).toBeGreaterThan(13)
  expect(steps.length).toBeLessThanOrEqual(15)
  expect(steps.filter(({ text }) => text.split('\n').length > 315).map(({ path }) => path)).toEqual([])
})

it.each(
  steps.slice(1).map((step, index) => [step.path, step, steps[Number(step.from ?? index + 1) - 1]] as const),
)('goes on in %s, as the file before it says', (_, { call = '', text }, before) => {
  const [object = '', method = ''] = call.split('.')
  const isCalled = new RegExp(`\\b${object}\\??\\.${method}\\(`).test(before?.text ?? '')
  const isThere = new RegExp(`\\b${method}\\b`).test(text)
  expect({ isCalled, isThere }).toEqual({ isCalled: true, isThere: true })
})

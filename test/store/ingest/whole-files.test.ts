/** Small files that are made, synced and named together. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { putWhole } from '../../../src/store/ingest/whole-files.ts'
import { temporaryFolder } from '../scenery.ts'

it('makes those that can be made, leaves nothing of the others, and says of each what became of it', async () => {
  await using folder = await temporaryFolder()
  const at = (...parts: string[]): string => join(folder.path, ...parts)
  await Promise.all(['up', 'aa', 'bb'].map((name) => mkdir(at(name))))
  await writeFile(at('up', 'taken'), 'somebody else’s')
  await writeFile(at('aa', 'second'), Buffer.alloc(5000))
  const file = (name: string, target: string) => {
    return { path: at('up', name), target, bytes: Buffer.from(name), timeMs: 86_400_000 }
  }
  const outcomes = await putWhole([
    file('first', at('aa', 'first')),
    file('second', at('aa', 'second')),
    file('third', at('bb', 'third')),
    file('lost', at('nowhere', 'lost')),
    file('taken', at('bb', 'taken')),
  ])
  expect(outcomes).toMatchObject([
    { replacedBytes: 0 },
    { replacedBytes: expect.any(Number) },
    { replacedBytes: 0 },
    { error: { code: 'ENOENT' } },
    { error: { code: 'EEXIST' } },
  ])
  expect(outcomes[1]).not.toEqual({ replacedBytes: 0 })
  expect([await readdir(at('aa')), await readdir(at('bb'))]).toEqual([['first', 'second'], ['third']])
  expect(await readFile(at('aa', 'second'), 'utf8')).toBe('second')
  // What was there before is not taken away with what could not be made over it.
  expect(await readdir(at('up'))).toEqual(['taken'])
})

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { KeepRuleError, openRuleBook, type RuleBook, type RuleText } from '../../src/placement/placement.ts'
import { openDatabase } from '../../src/store/store.ts'

async function inDatabase(work: (open: () => Promise<RuleBook>) => Promise<void>): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'shoal-rules-'))
  opened.defer(() => rm(directory, { recursive: true }))
  const database = opened.adopt(await openDatabase(directory), (open) => open.close())
  const table = database.sublevel<string, RuleText>('keep', { valueEncoding: 'json' })
  await work(() => openRuleBook(table))
}

describe('the rule book', () => {
  it('remembers its rules, and adds none twice', () =>
    inDatabase(async (open) => {
      const book = await open()
      const rule = await book.add({ repositories: 'apps/*', tags: 'v*' })
      expect(await book.add({ repositories: 'apps/*', tags: 'v*' })).toBe(rule)
      await book.add({ repositories: 'apps/*' })
      expect((await open()).list()).toEqual(book.list())
      expect(book.list()).toHaveLength(2)
    }))

  it('removes one by its id, and all with a pattern', () =>
    inDatabase(async (open) => {
      const book = await open()
      const first = await book.add({ repositories: 'apps/*', tags: 'v*' })
      await book.add({ repositories: 'apps/*' })
      await book.add({ repositories: 'apps/*', platforms: ['linux/arm64'] })
      const other = await book.add({ repositories: 'other/*' })
      expect(await book.remove(first.id)).toEqual([first])
      expect(await book.remove('apps/*')).toHaveLength(2)
      expect(await book.remove('apps/*')).toEqual([])
      expect((await open()).list()).toEqual([other])
    }))

  it('tells of each change once', () =>
    inDatabase(async (open) => {
      const book = await open()
      let told = 0
      const stop = book.onChange(() => told++)
      await book.add({ repositories: 'apps/*' })
      await book.add({ repositories: 'apps/*' })
      await book.remove('none/*')
      expect(told).toBe(1)
      stop()
      await book.remove('apps/*')
      expect(told).toBe(1)
    }))

  it('refuses more rules than it can ask of every record', () =>
    inDatabase(async (open) => {
      const book = await open()
      for (let i = 0; i < 256; i++) await book.add({ repositories: `apps/a${i}` })
      await expect(book.add({ repositories: 'apps/one-more' })).rejects.toThrow(KeepRuleError)
      expect(book.list()).toHaveLength(256)
    }))
})

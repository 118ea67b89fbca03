import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openDatabase } from '../../src/store/store.ts'
import { temporaryFolder } from './scenery.ts'

it('makes a database anew that a power cut left half made', async () => {
  await using folder = await temporaryFolder()
  await (await openDatabase(folder.path)).close()
  await writeFile(join(folder.path, 'db/CURRENT'), 'MANIFEST-000001\n')
  await writeFile(join(folder.path, 'db/MANIFEST-000001'), '')
  await writeFile(join(folder.path, 'db.new'), '')
  const database = await openDatabase(folder.path)
  await database.put('a', '1')
  await database.close()
  const again = await openDatabase(folder.path)
  expect(await again.get('a')).toBe('1')
  await again.close()
})

it('makes none anew that was ever opened', async () => {
  await using folder = await temporaryFolder()
  await (await openDatabase(folder.path)).close()
  await writeFile(join(folder.path, 'db/CURRENT'), 'MANIFEST-000001\n')
  await writeFile(join(folder.path, 'db/MANIFEST-000001'), '')
  await expect(openDatabase(folder.path)).rejects.toMatchObject({ cause: { code: 'LEVEL_CORRUPTION' } })
})

it('makes none over the files of one that lost its CURRENT, but finds it again', async () => {
  await using folder = await temporaryFolder()
  const database = await openDatabase(folder.path)
  await database.put('a', '1')
  await database.close()
  await rm(join(folder.path, 'db/CURRENT'))
  const again = await openDatabase(folder.path)
  expect(await again.get('a')).toBe('1')
  await again.close()
})

import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readDropped } from '../../../src/store/database/database-log.ts'
import { openDatabase } from '../../../src/store/store.ts'
import { temporaryFolder } from '../scenery.ts'

it('tells of records that LevelDB dropped from a damaged write-ahead log, and of none otherwise', async () => {
  await using folder = await temporaryFolder()
  const database = await openDatabase(folder.path)
  for (let key = 0; key < 100; key++) await database.put(`key ${key}`, 'x'.repeat(1000))
  expect(await readDropped(folder.path)).toEqual([])
  await database.close()
  const log = (await readdir(join(folder.path, 'db'))).find((name) => name.endsWith('.log'))
  await using file = await open(join(folder.path, 'db', log ?? ''), 'r+')
  await file.write(Uint8Array.of(1, 2, 3, 4), 0, 4, 5000)
  await using again = await openDatabase(folder.path)
  expect(await again.get('key 0')).toBeDefined()
  const [line] = await readDropped(folder.path)
  expect(line).toMatch(/dropping \d+ bytes; Corruption/)
})

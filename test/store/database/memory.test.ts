/** What the database takes of memory where it has more rows than anybody reads at once. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { noMetrics, silentLogger, steadyClock } from '../../../src/base/base.ts'
import { compactAll } from '../../../src/store/database/level-engine.ts'
import { openDatabase } from '../../../src/store/store.ts'
import { temporaryFolder } from '../scenery.ts'

const mib = 2 ** 20
const rows = 1_300
const rowBytes = 64 * 1024

function mappedTableBytes(folder: string): number {
  const maps = readFileSync('/proc/self/maps', 'latin1').split('\n')
  return maps
    .filter((line) => line.includes(folder) && line.endsWith('.ldb'))
    .map((line) => (line.split(' ')[0] ?? '').split('-').map((address) => Number.parseInt(address, 16)))
    .reduce((sum, [from = 0, to = 0]) => sum + to - from, 0)
}

const large = async (folder: string) => {
  const options = { logger: silentLogger, metrics: noMetrics, clock: steadyClock }
  const database = await openDatabase(folder, options)
  return { database, table: database.sublevel<string, Uint8Array>('large', { valueEncoding: 'view' }) }
}

it.runIf(process.platform === 'linux')(
  'maps a bounded part of its tables, however many there are',
  async () => {
    await using folder = await temporaryFolder()
    const written = await large(folder.path)
    const value = randomBytes(rowBytes)
    for (let row = 0; row < rows; row += 20)
      await written.table.batch(
        Array.from({ length: 20 }, (_, at) => ({ type: 'put', key: String(row + at), value })),
      )
    await written.database.close()
    await compactAll(join(folder.path, 'db'))
    const { database, table } = await large(folder.path)
    try {
      for (let row = 0; row < rows; row += 1) expect(await table.get(String(row))).toHaveLength(rowBytes)
      const bytes = mappedTableBytes(folder.path)
      expect(bytes).toBeGreaterThan(0)
      expect(bytes).toBeLessThan(70 * mib)
    } finally {
      await database.close()
    }
  },
)

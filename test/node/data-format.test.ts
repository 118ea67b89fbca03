import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { dataFormat } from '../../node/data-format.ts'
import { openLocalNode } from '../../node/local-node.ts'
import { createLogger } from '../../node/logger.ts'
import { readSettings } from '../../node/settings/settings.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-format-'))
})
afterEach(async () => await rm(folder, { recursive: true }))

const mark = (): string => join(folder, 'format')

async function openAndClose(): Promise<void> {
  const { settings } = readSettings(['--data', folder], {})
  await using _ = await openLocalNode({ settings, logger: createLogger('silent'), create: true })
}

describe('the format of a data directory', () => {
  it('is marked when a node makes it, and accepted when it starts again', async () => {
    await openAndClose()
    expect(await readFile(mark(), 'utf8')).toBe(`${dataFormat}\n`)
    await openAndClose()
  })

  it('is marked anew where an earlier version had made it', async () => {
    await openAndClose()
    await writeFile(mark(), '1\n')
    await openAndClose()
    expect(await readFile(mark(), 'utf8')).toBe(`${dataFormat}\n`)
  })

  it('is marked where an earlier version did not', async () => {
    await openAndClose()
    await rm(mark())
    await openAndClose()
    expect(await readFile(mark(), 'utf8')).toBe(`${dataFormat}\n`)
  })

  it.each([
    [`${dataFormat + 1}\n`, `its format is ${dataFormat + 1}, this version reads up to ${dataFormat}`],
    ['999999999\n', 'was written by a later version of Shoal'],
    ['', 'is no format number'],
    ['1', 'is no format number'],
    ['0\n', 'is no format number'],
    ['1.5\n', 'is no format number'],
    ['9999999999\n', 'is no format number'],
    [`${'x'.repeat(100_000)}\n`, 'is no format number'],
  ])('keeps this version away from a directory that says %j', async (text, reason) => {
    await writeFile(mark(), text)
    await expect(openAndClose()).rejects.toMatchObject({
      code: 'DATA_FORMAT',
      message: expect.stringContaining(reason),
    })
    expect(await readdir(folder)).toEqual(['format'])
  })
})

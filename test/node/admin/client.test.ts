/** A data directory that another process has for a moment: a node that starts, or a command. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { onceUnlocked } from '../../../node/admin/client.ts'
import { openDatabase } from '../../../src/store/store.ts'

test('waits until the other process lets go of the data directory', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-locked-'))
  const other = await openDatabase(directory)
  let refused = 0
  const opened = await onceUnlocked(async () => {
    try {
      return await openDatabase(directory)
    } catch (error) {
      refused++
      if (refused === 2) await other.close()
      throw error
    }
  })
  expect([refused, opened.status]).toEqual([2, 'open'])
  await opened.close()
  await rm(directory, { recursive: true })
})

test('waits for nothing else', async () => {
  let attempts = 0
  const failing = onceUnlocked(async () => {
    attempts++
    throw new Error('broken')
  })
  await expect(failing).rejects.toThrow('broken')
  expect(attempts).toBe(1)
})

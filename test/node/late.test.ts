/** What a node says when an upgrade took the files that it had yet to load. */
import path from 'node:path'
import { expect, it } from 'vitest'
import { late, replacementNotes } from '../../node/late.ts'

const gone = path.join(import.meta.dirname, 'gone.js')
const absence = Object.assign(new Error(`Cannot find module '${gone}'`), { code: 'ERR_MODULE_NOT_FOUND' })

it('says that it is to be restarted where a file of it is gone', async () => {
  const loading = late(() => Promise.reject(absence))
  await expect(loading).rejects.toMatchObject({ code: 'PROGRAM_REPLACED', cause: absence })
  await expect(loading).rejects.toThrow('restart it to finish the upgrade')
  expect(replacementNotes(gone)).toEqual([expect.stringContaining('restart it')])
})

it('says nothing where all is there, and passes on what a module throws', async () => {
  const broken = new Error('broken')
  expect(await late(async () => 'loaded')).toBe('loaded')
  await expect(late(() => Promise.reject(broken))).rejects.toBe(broken)
  expect(replacementNotes(import.meta.filename)).toEqual([])
})

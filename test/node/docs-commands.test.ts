import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { commandsPage } from '../../scripts/docs/commands-page.ts'

it('docs/commands.md says what --help says (npm run docs writes it)', async () => {
  const page = path.join(import.meta.dirname, '../../docs/commands.md')
  expect(await readFile(page, 'utf8')).toBe(await commandsPage())
})

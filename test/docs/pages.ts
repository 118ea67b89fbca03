/** Every page of documentation. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { type Page, readPage } from './page.ts'

const checkout = path.join(import.meta.dirname, '../..')

const documents = readdirSync(path.join(checkout, 'docs')).filter((name) => name.endsWith('.md'))

export const pages: { file: string; text: string; page: Page }[] = [
  'README.md',
  ...documents.map((name) => `docs/${name}`).sort(),
].map((file) => {
  const text = readFileSync(path.join(checkout, file), 'utf8')
  return { file, text, page: readPage(text) }
})

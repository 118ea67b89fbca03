/** Writes docs/commands.md: what `--help` says of each command, so that the page cannot say anything else. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { commandsPage } from './commands-page.ts'

await writeFile(path.join(import.meta.dirname, '../../docs/commands.md'), await commandsPage())

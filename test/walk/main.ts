/**
 * A walk through the command line as an operator takes it: types the commands in a terminal, against two nodes, and compares what a
 * person reads with `golden.txt`. `npm run walk`, or `npm run walk -- --update` after a change that is meant.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { run } from '../e2e/command.ts'
import { walk } from './walk.ts'

const golden = path.join(import.meta.dirname, 'golden.txt')

const read = await walk()
if (process.argv.includes('--update')) await writeFile(golden, read)
else if (read !== (await readFile(golden, 'utf8'))) await complain()

async function complain(): Promise<void> {
  const now = `${golden}.new`
  await writeFile(now, read)
  console.error(
    'A person reads something else than in test/walk/golden.txt (if that is meant: npm run walk -- --update):',
  )
  // Its exit code says that they differ.
  const diff = ['git --no-pager diff --no-index -- "$0" "$1" || true', golden, now]
  console.error((await run('sh', ['-c', ...diff])).stdout)
  await rm(now)
  process.exitCode = 1
}

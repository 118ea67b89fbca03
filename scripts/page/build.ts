/** Builds the page into dist/page; with --if-changed only when something it is made of is newer than what was built. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { changedMs, replacePage } from '../program/replace.ts'

const root = dirname(dirname(import.meta.dirname))
const source = join(root, 'node/page/client')
const output = join(root, 'dist/page')

if (!process.argv.includes('--if-changed') || isStale()) await buildPage()

async function buildPage(): Promise<void> {
  const begun = new Date()
  mkdirSync(output, { recursive: true })
  const made = mkdtempSync(join(root, 'dist/page-'))
  try {
    await bundle(made)
    replacePage(made, output, begun)
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
}

async function bundle(outDir: string): Promise<void> {
  // Loaded only here: to see that nothing changed takes none of it.
  const { build } = await import('vite')
  await build({
    configFile: false,
    root: source,
    base: '/page/',
    logLevel: 'warn',
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      outDir,
      emptyOutDir: true,
      assetsInlineLimit: 0,
      modulePreload: false,
      // What the page brings along, Preact and uPlot, may be passed on with its licence alone; the node does not serve it.
      license: { fileName: 'licenses.md' },
      target: 'es2023',
    },
  })
}

function isStale(): boolean {
  const built = changedMs(join(output, 'index.html'))
  if (built === undefined) return true
  const sources = [source, join(root, 'node/page/answers')].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  )
  const parts = [...sources, join(root, 'package-lock.json'), import.meta.filename]
  return parts.some((file) => (changedMs(file) ?? 0) > built)
}

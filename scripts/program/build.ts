/**
 * Builds the program into dist/node: what a node needs at its start in a few files without comments, and what only some commands
 * and features need in files of their own. With --if-changed only when a source is newer than what was built.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { InlineConfig, Plugin, Rolldown } from 'vite'
import { changedMs, replaceBuild } from './replace.ts'

const root = dirname(dirname(import.meta.dirname))
const output = join(root, 'dist/node')
const stamp = join(output, 'main.js')
const sources = ['src', 'node', 'package-lock.json', 'scripts/program']

/** Each thread's code, beside the file that starts it. */
const threads = {
  'piece-worker': join(root, 'src/store/partials/piece-worker.ts'),
  'ingest-worker': join(root, 'src/store/ingest/ingest-worker.ts'),
}
/** What every command loads, so that it is one file. */
const ofEachCommand =
  /\/(src\/base\/|node\/(settings\/|command-line\/(cli|command|failure)\.|admin\/(client|perform)\.))/

const ascii: Plugin = {
  name: 'ascii',
  generateBundle: (_options, files) => Object.values(files).forEach(toAscii),
}

if (!process.argv.includes('--if-changed') || isStale()) await buildProgram()

async function buildProgram(): Promise<void> {
  const begun = new Date()
  mkdirSync(output, { recursive: true })
  const made = mkdtempSync(join(root, 'dist/node-'))
  try {
    await bundle(made)
    replaceBuild(made, output, begun)
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
}

async function bundle(outDir: string): Promise<void> {
  // Loaded only here: to see that nothing changed takes none of it.
  const { build } = await import('vite')
  const built = new Map<string, string>()
  for (const [name, file] of Object.entries(threads)) built.set(name, await bundleThread(name, file, outDir))
  const started = new Set<string>()
  const withBuiltThreads = (code: string): string =>
    code.replace(/(threadOf\(\s*import\.meta\.url,\s*['"])([\w-]+)/g, (_, call: string, name: string) => {
      started.add(name)
      return `${call}${built.get(name)}`
    })
  await build({
    ...configOf({ input: { main: join(root, 'node/main.ts') }, outDir, entries: '[name].js' }),
    plugins: [ascii, { name: 'threads', transform: withBuiltThreads }],
  })
  const odd = [...started.symmetricDifference(new Set(built.keys()))]
  if (odd.length > 0)
    throw new Error(`${odd.join(', ')}: started and built threads differ; see "threads" here`)
}

/** One file for each, in the form that a thread is started from in memory; resolves to its name without ending. */
async function bundleThread(name: string, file: string, outDir: string): Promise<string> {
  const { build } = await import('vite')
  const config = configOf({ input: { [name]: file }, outDir, entries: '[name]-[hash].js', isThread: true })
  return entryOf((await build(config)) as Rolldown.RolldownOutput)
}

interface Part {
  input: Record<string, string>
  outDir: string
  entries: string
  isThread?: boolean
}

function configOf(what: Part): InlineConfig {
  return {
    configFile: false,
    root,
    logLevel: 'error',
    // LevelDB brings a binary beside its code.
    ssr: { noExternal: true, target: 'node', external: ['classic-level'] },
    build: {
      ssr: true,
      target: 'node24',
      outDir: what.outDir,
      emptyOutDir: false,
      license: { fileName: 'licenses.md' },
      rolldownOptions: {
        input: what.input,
        external: ['classic-level'],
        output: {
          format: what.isThread === true ? 'cjs' : 'es',
          keepNames: true,
          entryFileNames: what.entries,
          chunkFileNames: '[name]-[hash].js',
          codeSplitting:
            what.isThread === true ? false : { groups: [{ name: 'command', test: ofEachCommand }] },
          // Names stay, so that a stack in a log can be read.
          minify: { compress: true, mangle: false, codegen: true },
        },
      },
    },
    plugins: [ascii],
  }
}

/** With the hash of its content: a node that runs starts the threads it was built with. */
function entryOf({ output }: Rolldown.RolldownOutput): string {
  const entry = output.find((file) => file.type === 'chunk' && file.isEntry)
  if (entry === undefined) throw new Error('a thread without code')
  return basename(entry.fileName, '.js')
}

/** V8 keeps a source with one character past Latin-1 as two bytes for each. */
function toAscii(file: { type: string; code?: string }): void {
  if (file.type !== 'chunk' || file.code === undefined) return
  const coded = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what is not ASCII is meant.
  file.code = file.code.replace(/[^\x00-\x7f]/g, coded)
}

function isStale(): boolean {
  const built = changedMs(stamp)
  if (built === undefined) return true
  return sources.some((source) => newestMs(join(root, source)) > built)
}

function newestMs(path: string): number {
  const inside = statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(path, name))
    : []
  return Math.max(...[path, ...inside].map((name) => changedMs(name) ?? 0))
}

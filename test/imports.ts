/** What each source file of `src` and `node` imports. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

const root = dirname(import.meta.dirname)

export interface Import {
  file: string
  folder: string
  target: string
  typeOnly: boolean
}

const files = ['src', 'node'].flatMap((top) =>
  readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(top, name)),
)
/** Those that stand at the head of a file, which are loaded with it. */
export const imports = files.flatMap(importsOf)

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8')
  const pattern = /^(?:import|export)\s+(type\s+)?([^'"]*?from\s+)?'([^']+)'/gm
  return [...text.matchAll(pattern)].map(([, type, names = '', target = '']) => {
    const inner = names.replace(/from\s+$/, '').trim()
    const allTypes =
      /^\{[^}]*\}$/.test(inner) &&
      inner
        .slice(1, -1)
        .split(',')
        .filter((name) => name.trim() !== '')
        .every((name) => name.trim().startsWith('type '))
    const resolved = target.startsWith('.') ? relative(root, join(root, dirname(file), target)) : target
    return { file, folder: folderOf(file), target: resolved, typeOnly: type !== undefined || allTypes }
  })
}

/** `src/oci`, or `node`. */
export function folderOf(file: string): string {
  const [top = '', second = ''] = file.split('/')
  return top === 'src' ? `${top}/${second}` : top
}

/** Files and packages that are loaded when `file` is, itself included, each with the way to it. */
export function loadedWith(file: string): Map<string, string[]> {
  const loaded = new Map([[file, [file]]])
  for (const [one, way] of loaded) {
    for (const { file: importer, target, typeOnly } of imports) {
      if (importer === one && !typeOnly && !loaded.has(target)) loaded.set(target, [...way, target])
    }
  }
  return loaded
}

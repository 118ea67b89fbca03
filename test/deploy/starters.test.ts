/** What starts Shoal's program from a checkout, from npm and from the Debian package: each on a Node that is set alike. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'

const checkout = path.join(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(path.join(checkout, name), 'utf8')
const [shebang = ''] = read('node/main.ts').split('\n')
const starters = {
  'scripts/shoal': read('scripts/shoal').replaceAll(/"\$\{\w+:-(.*?)\}"/g, '$1'),
  'deploy/debian/shoal': read('deploy/debian/shoal'),
}

function set(text: string): { memory: string[]; flags: string[] } {
  const code = text.match(/^(#!|export |set |exec ).*$/gm)?.join('\n') ?? ''
  return {
    memory: [...code.matchAll(/\b((?:MALLOC_\w+|GLIBC_TUNABLES)=[\w.=:]+)/g)].map(([, one = '']) => one),
    flags: [...code.matchAll(/ (--[a-z][\w=-]+)/g)].map(([, flag = '']) => flag),
  }
}

it.each(Object.entries(starters))('%s sets memory and flags as the program’s first line does', (_, text) => {
  const expected = set(shebang)
  expect(expected.memory.length).toBeGreaterThan(1)
  expect(set(text)).toEqual(expected)
})

it('has a first line that Linux does not cut off', () => {
  // execve(2): 255 bytes behind the `#!`.
  expect(Buffer.byteLength(shebang)).toBeLessThan(256)
})

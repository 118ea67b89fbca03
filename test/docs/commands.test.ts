/** The documentation names only commands and flags that there are, and leaves none of its commands unchecked. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { run } from '../../node/command-line/cli.ts'
import { pages } from './pages.ts'

const checkout = path.join(import.meta.dirname, '../..')
const { scripts } = JSON.parse(readFileSync(path.join(checkout, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
}

/** Programs of others that pages may name in blocks that are not run. */
const others = [
  ...[
    'apt-get',
    'apt',
    'buildah',
    'cat',
    'cd',
    'chmod',
    'containerd',
    'cp',
    'crictl',
    'ctr',
    'curl',
    'echo',
    'export',
    'docker',
  ],
  ...[
    'docker-compose',
    'git',
    'helm',
    'install',
    'journalctl',
    'kubectl',
    'mkdir',
    'mv',
    'nft',
    'node',
    'openssl',
    'podman',
  ],
  ...['rm', 'rsync', 'scp', 'skopeo', 'ssh', 'sudo', 'systemctl', 'tar', 'tee', 'ufw', 'umask'],
]

/** How a call of `shoal` looks wherever it stands: its command, and the words up to the end of the call. */
const call = /(?:^|[\s;|&("'`])(?:[\w./~-]*\/)?shoal ([a-z][a-z-]*)((?: [^\s;|&)`]+)*)/g
const beginning = new RegExp(`^(?:\\w[\\w-]*)?\\$ |^(?:\\S*/)?(?:shoal|npm|npx|${others.join('|')}) `)

afterEach(() => vi.restoreAllMocks())

describe.each(pages)('$file', ({ file, page, text }) => {
  const commands = page.blocks.flatMap((block) => block.commands)
  const at = (line: number): string => `${file}:${line}`

  it('has blocks that can be read', () => {
    expect(page.faults.map(({ line, text: what }) => `${at(line)} ${what}`)).toEqual([])
  })

  it('keeps its commands in blocks marked console', () => {
    const strays = page.otherCode.filter((code) => beginning.test(code.text))
    expect(strays.map(({ line, text: what }) => `${at(line)} ${what}`)).toEqual([])
  })

  it('calls shoal as it can be called', async () => {
    const code = [...commands, ...page.spans].flatMap(({ line, text: what }) =>
      [...what.matchAll(call)].map(([, name = '', words = '']) => ({ line, name, words })),
    )
    const wrong: string[] = []
    for (const { line, name, words } of code) {
      const help = await helpOf(name)
      if (help === undefined) wrong.push(`${at(line)} shoal ${name}: there is no such command`)
      for (const [flag] of words.matchAll(/(?<=^| )--[a-z][a-z-]*/g))
        if (help !== undefined && flag !== '--help' && !help.includes(flag))
          wrong.push(`${at(line)} shoal ${name} has no ${flag}`)
    }
    expect(wrong).toEqual([])
  })

  it('calls scripts of package.json, and other programs that are known', () => {
    const programs = page.blocks
      .filter(({ notRun }) => notRun !== undefined)
      .flatMap((block) => block.commands)
      .flatMap(({ line, text: what }) =>
        what.split(/ (?:&&|\|) /).map((part) => ({ line, words: part.split(' ') })),
      )
    const unknown = programs.filter(({ words: [first = '', second = '', third = ''] }) => {
      if (/^(.*\/)?shoal$/.test(first) || others.includes(first)) return false
      if (first !== 'npm') return true
      return (
        !['ci', 'start', 'test', 'install', 'pack'].includes(second) &&
        !(second === 'run' && third in scripts)
      )
    })
    expect(unknown.map(({ line, words }) => `${at(line)} ${words.join(' ')}`)).toEqual([])
  })

  it('points to files that exist', () => {
    const targets = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, target = '']) => target)
    const missing = targets.filter((target) => !existsSync(path.join(checkout, path.dirname(file), target)))
    expect(missing).toEqual([])
  })
})

/** `undefined` when there is no such command. */
async function helpOf(name: string): Promise<string | undefined> {
  let printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text)
    return true
  })
  vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const code = await run(name === 'help' ? ['help'] : [name, '--help'])
  vi.restoreAllMocks()
  return code === 0 ? printed : undefined
}

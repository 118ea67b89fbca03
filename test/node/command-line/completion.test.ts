import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { completionScript, describeCommands } from '../../../node/command-line/completion.ts'

const execute = promisify(execFile)

/** What bash offers once the script is sourced; the last word is the one that is completed. */
async function complete(words: string[]): Promise<string[]> {
  const script = completionScript('bash', await describeCommands())
  const state = `COMP_WORDS=(${words.map((word) => `"${word}"`).join(' ')}); COMP_CWORD=${words.length - 1}`
  const { stdout } = await execute('bash', [
    '-c',
    `${script}\n${state}\n_shoal\nprintf '%s\\n' "\${COMPREPLY[@]}"`,
  ])
  return stdout.split('\n').filter((line) => line !== '')
}

describe('completion', () => {
  it('offers commands, their actions and their flags in bash', async () => {
    expect(await complete(['shoal', 'st'])).toEqual(['status'])
    expect(await complete(['shoal', 'token', ''])).toEqual(['create', 'ls', 'revoke', 'rotate'])
    expect(await complete(['shoal', 'policy', 'un'])).toEqual(['unban'])
    expect(await complete(['shoal', 'gc', '--d'])).toEqual(['--dry-run', '--data'])
    expect(await complete(['shoal', 'help', 'insp'])).toEqual(['inspect'])
    expect(await complete(['shoal', 'gc', '--grace', ''])).toEqual([])
    expect(await complete(['shoal', 'ls', '--data', '/et'])).toContain('/etc')
  })

  it('names every flag of every command for each shell', async () => {
    const described = await describeCommands()
    const zsh = completionScript('zsh', described)
    const fish = completionScript('fish', described)
    for (const { name, flags } of described) {
      const zshLine = zsh.split('\n').find((line) => line.startsWith(`    ${name})`))
      for (const flag of flags) {
        expect(zshLine).toContain(`'--${flag.name}[`)
        expect(fish).toContain(`__fish_seen_subcommand_from ${name}' -l ${flag.name}`)
      }
    }
  })

  it('keeps a quote in a help text from ending the script early', () => {
    const described = [
      { name: 'x', summary: "it's", actions: [], flags: [{ name: 'y', help: "node's [own]: one" }] },
    ]
    expect(completionScript('fish', described)).toContain(String.raw`-d 'it'\''s'`)
    expect(completionScript('zsh', described)).toContain(String.raw`'--y[node'\''s \[own\]\: one]'`)
  })
})

/** `shoal authority`: the key that signs the cluster's policy, moved off and onto machines. */
import { readFile } from 'node:fs/promises'
import { perform } from '../admin/perform.ts'
import { defineCommand, json, usageLines } from '../command-line/command.ts'
import { print, printJson } from '../screen/output.ts'
import { flag } from '../settings/kinds.ts'
import { UsageError } from '../settings/settings.ts'

const usage = ['authority export [--drop] [--json]', 'authority import FILE [--json]']

export const command = defineCommand({
  usage,
  about: `
The node that started the cluster holds its authority key, which signs the policy. export prints it as one line; with
--drop it is removed from this node afterwards, so keep the line where you keep what must neither leak nor be lost.
Immutable tags are sealed in its place by the policy's sealers, this node if there are none (see shoal policy).
import reads it from FILE (- for standard input) onto a member. Restart the node after either.`,
  flags: { drop: { kind: flag, help: 'remove the key from this node' }, json },
  actions: ['export', 'import'],
  maxWords: 2,
  examples: [
    ['authority export --drop >authority.key', 'take the key off this node'],
    ['authority import authority.key', 'let this node govern the cluster'],
  ],
  async run({ settings, words: [action, file], flags }) {
    if (action === 'export' && file === undefined) {
      const { key, sealers } = await perform(settings, 'authority-export', { drop: flags.drop })
      if (flags.json) printJson({ key })
      else print(`${key}\n`)
      if (flags.drop)
        process.stderr.write(
          `The key is gone from here. Immutable tags are sealed by ${sealers.join(', ')}.\n`,
        )
    } else if (action === 'import' && file !== undefined) {
      const key = await readFile(file === '-' ? '/dev/stdin' : file, 'utf8')
      await perform(settings, 'authority-import', { key: key.trim() })
      if (flags.json) printJson({})
      process.stderr.write('The key is here. Restart the node to use it.\n')
    } else throw new UsageError(`expected: ${usageLines(usage)}`)
    return 0
  },
})

/** `shoal authority`: the key that signs the cluster's policy, moved off and onto machines. */
import { readFile } from 'node:fs/promises'
import type { Command } from '../cli.ts'
import { print } from '../output.ts'
import { perform } from '../perform.ts'
import { readSettings, settingsHelp, UsageError } from '../settings.ts'

export const command: Command = {
  help: `shoal authority export [--drop] | import FILE

The node that started the cluster holds its authority key, which signs the policy. export prints it as one line; with
--drop it is removed from this node afterwards, so keep the line where you keep what must neither leak nor be lost.
import reads it from FILE (- for standard input) onto a member. Restart the node after either.

  --drop                  remove the key from this node
${settingsHelp(['data'])}
`,
  async run(args) {
    const { settings, rest, extra } = readSettings(args, process.env, { drop: { type: 'boolean' } })
    const [action, file] = rest
    if (action === 'export' && file === undefined) {
      const { key } = await perform(settings, 'authority-export', { drop: extra.drop === true })
      print(`${key}\n`)
    } else if (action === 'import' && file !== undefined) {
      const key = await readFile(file === '-' ? '/dev/stdin' : file, 'utf8')
      await perform(settings, 'authority-import', { key: key.trim() })
      process.stderr.write('The key is here. Restart the node to use it.\n')
    } else throw new UsageError('expected: shoal authority export [--drop] | import FILE')
    return 0
  },
}

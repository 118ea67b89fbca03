/** `shoal policy`: who may publish what. */
import { readFile } from 'node:fs/promises'
import type { Command } from '../cli.ts'
import { print, printJson } from '../output.ts'
import { perform } from '../perform.ts'
import { readSettings, settingsHelp, UsageError } from '../settings.ts'

export const command: Command = {
  help: `shoal policy show | set FILE | ban PEER | unban PEER

Without a policy every member may publish everywhere. Only the node that holds the cluster's authority key (the one that
started the cluster, see shoal authority) can change it; every node enforces it.

FILE is JSON:
  {
    "rules":     [{ "repositories": "team/**", "authors": ["12D3KooW…"] }],
    "immutable": [{ "repositories": "**", "tags": "v*" }],
    "banned":    []
  }
The first rule whose pattern matches decides who may publish there; where none matches, every member may.
In patterns * is any text without a slash and ** any text. A tag under an immutable pattern is written once.
A banned member is disconnected, and what it publishes from then on does not count; what it had published stays.

${settingsHelp(['data'])}
`,
  async run(args) {
    const { settings, rest } = readSettings(args, process.env)
    const [action = 'show', subject, surplus] = rest
    if (surplus !== undefined)
      throw new UsageError(`policy ${action} takes one argument; "${surplus}" is one too many`)
    if (action === 'show') printJson(await perform(settings, 'policy-show', {}))
    else if (subject === undefined)
      throw new UsageError('expected: shoal policy show | set FILE | ban PEER | unban PEER')
    else if (action === 'set') {
      await perform(settings, 'policy-set', { policy: await readPolicy(subject) })
      print('the policy is set\n')
    } else if (action === 'ban' || action === 'unban') {
      await perform(settings, 'policy-ban', { peer: subject, banned: action === 'ban' })
      print(`${subject} is ${action === 'ban' ? 'banned' : 'no longer banned'}\n`)
    } else throw new UsageError(`"${action}" is not show, set, ban or unban`)
    return 0
  },
}

async function readPolicy(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (cause) {
    throw new UsageError(`${file} cannot be read as JSON: ${(cause as Error).message}`, { cause })
  }
}

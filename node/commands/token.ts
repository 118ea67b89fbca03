/** `shoal token`: what another host needs to join this node's cluster. */
import type { Command } from '../cli.ts'
import { print, printJson } from '../output.ts'
import { perform } from '../perform.ts'
import { readSettings, settingsHelp, UsageError } from '../settings.ts'

export const command: Command = {
  help: `shoal token [rotate] [--json]

Prints the join token of this node's cluster. Whoever has it can become a member: keep it like a password.
  on another host:  shoal serve --join TOKEN

rotate gives the cluster a new secret, the answer to a leaked token. Content, tags and policy stay. Restart this
node, then restart every other one with --join and the new token; until then they cannot talk to each other.

  --json                  print an object with the token
${settingsHelp(['data'])}
`,
  async run(args) {
    const { settings, rest, extra } = readSettings(args, process.env, { json: { type: 'boolean' } })
    const [action, surplus] = rest
    if ((action !== undefined && action !== 'rotate') || surplus !== undefined) {
      throw new UsageError(`token takes nothing, or rotate; "${surplus ?? action}" is neither`)
    }
    const { token, running } = await perform(settings, action === 'rotate' ? 'token-rotate' : 'token', {})
    if (extra.json === true) printJson({ token })
    else print(`${token}\n`)
    if (action === 'rotate') {
      process.stderr.write('Restart this node, and every other one with: shoal serve --join TOKEN\n')
    } else if (!running) {
      process.stderr.write(
        'This node does not run, so the token may lack an address to find it by; mDNS or --bootstrap has to.\n',
      )
    }
    return 0
  },
}

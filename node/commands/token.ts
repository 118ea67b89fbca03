/** `shoal token`: what another host needs to join this node's cluster. */

import { perform } from '../admin/perform.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { print, printJson } from '../screen/output.ts'
import { UsageError } from '../settings/settings.ts'

export const command = defineCommand({
  usage: ['token [rotate] [--json]'],
  about: `
Prints the join token of this node's cluster. Whoever has it can become a member: keep it like a password.

rotate gives the cluster a new secret, the answer to a leaked token. Content, tags and policy stay. Restart this
node, then restart every other one with --join and the new token; until then they cannot talk to each other. The
token of before leads no node back: where it still stands in a setting, it is ignored with a warning.`,
  flags: { json },
  actions: ['rotate'],
  maxWords: 1,
  examples: [
    ['token', 'print it'],
    ['serve --join "$(ssh host-a shoal token)"', 'on another host: join'],
    ['token rotate', 'make the old token worthless'],
  ],
  async run({ settings, words: [action], flags }) {
    if (action !== undefined && action !== 'rotate') {
      throw new UsageError(`token takes nothing, or rotate; "${action}" is neither`)
    }
    const isRotating = action === 'rotate'
    const { token, running, rotated } = isRotating
      ? { ...(await perform(settings, 'token-rotate', {})), rotated: false }
      : await perform(settings, 'token', {})
    if (flags.json) printJson({ token })
    else print(`${token}\n`)
    if (isRotating) {
      process.stderr.write('Restart this node, and every other one with: shoal serve --join TOKEN\n')
    } else if (rotated) {
      process.stderr.write(
        'The secret was rotated: restart this node, which still speaks with the one of before.\n',
      )
    } else if (!running) {
      process.stderr.write(
        'This node does not run, so the token may lack an address to find it by; mDNS or --bootstrap has to.\n',
      )
    }
    return 0
  },
})

/** `shoal token`: what another host needs to join this node's cluster, and how that is made worthless. */
import { perform } from '../admin/perform.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { print, printJson } from '../screen/output.ts'
import { duration } from '../settings/kinds.ts'
import { UsageError } from '../settings/settings.ts'

const defaultGraceMs = 7 * 24 * 3600_000

export const command = defineCommand({
  usage: ['token [--json]', 'token rotate [--grace TIME] [--json]'],
  about: `
Prints the join token of this node's cluster. Whoever has it can become a member: keep it like a password.

rotate gives the cluster a new secret, and the members that this node knows get it over their connections: nobody
restarts, and nobody is without the others. It takes the authority's key. The secret of before goes on for the grace, so
that members that are away find back; then it ends, and with it the stay of whoever has no other. Ban those who are
to leave first (shoal policy ban). The token of before leads no node back: where it still stands in a setting, it is
ignored with a warning.`,
  flags: {
    grace: { kind: duration, value: 'TIME', help: 'how long the secret of before goes on (default 7d)' },
    json,
  },
  actions: ['rotate'],
  maxWords: 1,
  examples: [
    ['token', 'print it'],
    ['serve --join "$(ssh host-a shoal token)"', 'on another host: join'],
    ['token rotate --grace 1h', 'make the old token worthless in an hour'],
  ],
  async run({ settings, words: [action], flags }) {
    if (action !== undefined && action !== 'rotate') {
      throw new UsageError(`token takes nothing, or rotate; "${action}" is neither`)
    }
    if (action === undefined) {
      if (flags.grace !== undefined) throw new UsageError('--grace belongs to token rotate')
      const { token, running } = await perform(settings, 'token', {})
      if (flags.json) printJson({ token })
      else print(`${token}\n`)
      if (!running) {
        process.stderr.write(
          'This node does not run, so the token may lack an address to find it by; mDNS or --bootstrap has to.\n',
        )
      }
      return 0
    }
    const { token, running, members } = await perform(settings, 'token-rotate', {
      graceMs: flags.grace ?? defaultGraceMs,
    })
    if (flags.json) printJson({ token, members })
    else print(`${token}\n`)
    const when = running ? '' : ', once this node runs'
    process.stderr.write(
      `The new secret goes to ${members.length} members${when}; a node that is not among them joins with this token.\n`,
    )
    return 0
  },
})

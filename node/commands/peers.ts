/** `shoal peers`: the members that this node is connected with. */
import type { Command } from '../cli.ts'
import { formatTable, formatTime, print, printJson } from '../output.ts'
import { perform } from '../perform.ts'
import { readSettings, settingsHelp } from '../settings.ts'

export const command: Command = {
  help: `shoal peers [--json]

Lists this node and the members that it is connected with: their addresses, the round trip, since when, how many
digests each announces, and its version.

  --json                  print one JSON object
${settingsHelp(['data'])}
`,
  async run(args) {
    const { settings, extra } = readSettings(args, process.env, { json: { type: 'boolean' } })
    const { self, members } = await perform(settings, 'peers', {})
    if (extra.json === true) {
      printJson({ self, members })
      return 0
    }
    print(
      `this node ${self.peer}, cluster ${self.cluster}\n${self.addresses.map((address) => `  ${address}\n`).join('')}\n`,
    )
    if (members.length === 0) {
      print('No member is connected. On another host: shoal serve --join "$(shoal token)"\n')
      return 0
    }
    const head = ['MEMBER', 'ROUND TRIP', 'SINCE', 'ANNOUNCES', 'VERSION', 'ADDRESSES']
    const rows = members.map(({ peer, latencyMs, sinceMs, announces, agent, addresses }) => [
      peer,
      latencyMs === undefined ? '-' : `${latencyMs} ms`,
      formatTime(sinceMs),
      announces === undefined ? '-' : String(announces),
      agent ?? '-',
      addresses.join(' '),
    ])
    print(formatTable([head, ...rows]))
    return 0
  },
}

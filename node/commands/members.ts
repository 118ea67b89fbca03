/** `shoal members`: who belongs to the cluster, and who would like to. */
import { perform } from '../admin/perform.ts'
import { defineCommand, json } from '../command-line/command.ts'
import type { OperationTypes } from '../operations/operations.ts'
import { formatTable, formatTime, print, printable, printJson } from '../screen/output.ts'

export const command = defineCommand({
  usage: ['members [--json]'],
  about: `
Lists this node and everybody that it knows to be a member, to have been one, or to wait for it: what they are called, their
id and site, and how it stands with them.

  member    connected; where the token is enough, nobody has to approve it
  approved  connected, and let in by name, by an invitation, or as it was there when members came to need an approval
  away      not connected
  guest     not approved, where the policy says "members": "approved"; those that came to this node, with their address
  gone      forgotten (shoal member forget)
  banned    banned by the policy

A name is what the cluster calls a host (shoal member rename), else what the host calls itself. shoal peers says how the
connections to those that are there do.`,
  flags: { json },
  maxWords: 0,
  examples: [
    ['members', 'who belongs to the cluster'],
    ['members --json', 'the same for a program'],
  ],
  async run({ settings, flags }) {
    const listed = await perform(settings, 'members', {})
    if (flags.json) printJson(listed)
    else print(renderMembers(listed))
    return 0
  },
})

export function renderMembers({ mode, self, members }: OperationTypes['members']['result']): string {
  const head = ['NAME', 'STATE', 'SINCE (UTC)', 'SITE', 'ID']
  const rows = members.map(({ peer, name, site, state, sinceMs, from }) => [
    printable(name ?? '-'),
    from === undefined ? state : `${state} at ${from}`,
    sinceMs === undefined ? '-' : formatTime(sinceMs),
    printable(site ?? '-'),
    peer === self ? `${peer} (this node)` : peer,
  ])
  const rule =
    mode === 'approved'
      ? 'Who comes with the token is a guest until shoal member approve.'
      : 'Whoever has the token becomes a member.'
  return `${rule}\n\n${formatTable([head, ...rows])}`
}

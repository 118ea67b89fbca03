/** What `shoal` says when it is asked for nothing in particular: what it is, what to type next, and the commands. */

import { hostname } from 'node:os'
import { callRunningNode, SocketForbiddenError } from '../admin/client.ts'
import type { NodeStatus } from '../operations/status.ts'
import { bold } from '../screen/output.ts'
import { formatAddress } from '../settings/kinds.ts'
import { readSettings, type Settings, UsageError } from '../settings/settings.ts'
import { commands } from './cli.ts'

const groups: Record<string, string[]> = {
  'This node': ['serve', 'status', 'health', 'doctor'],
  Images: ['ls', 'inspect', 'tag', 'rm', 'keep', 'warm', 'export', 'import'],
  Cluster: ['token', 'members', 'member', 'peers', 'policy', 'authority'],
  Accounts: ['account', 'access'],
  Disk: ['du', 'gc', 'evict', 'retention', 'verify', 'drain'],
  'Other registries': ['upstreams', 'client-config'],
  Shell: ['completion'],
}

/** With `greets`, the next steps depend on whether a node runs here. */
export async function overview({ greets }: { greets: boolean }): Promise<string> {
  const about =
    'Shoal is a container registry with no server: every host runs one node, and the nodes share what they hold.'
  const next = greets ? await nextSteps() : nextAtFirst
  return `${about}\n\n${next}\n\n${listCommands()}

shoal COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 not understood.
`
}

const nextAtFirst = `Start a node here     shoal serve
then push             docker push localhost:5000/team/app:1
and on another host   shoal serve --join "$(ssh ${hostname()} shoal token)"`

async function nextSteps(): Promise<string> {
  const settings = settingsOrNone()
  const address = settings === undefined ? undefined : await findRegistry(settings)
  if (address === undefined)
    return `No node runs on ${settings?.data ?? 'the data directory'}.\n\n${nextAtFirst}`
  return `A node runs on ${settings?.data}.

See how it is         shoal status
push                  docker push localhost:${address.slice(address.lastIndexOf(':') + 1)}/team/app:1
on the next host      shoal serve --join "$(ssh ${hostname()} shoal token)"`
}

function listCommands(): string {
  const grouped = new Set(Object.values(groups).flat())
  const others = Object.keys(commands).filter((name) => !grouped.has(name))
  const all = others.length === 0 ? groups : { ...groups, More: others }
  return Object.entries(all)
    .map(([title, names]) => {
      const lines = names.map((name) => `  ${name.padEnd(16)}${commands[name]?.summary ?? ''}`)
      return `${bold(title)}\n${lines.join('\n')}`
    })
    .join('\n\n')
}

/** What is set wrong is for the command to say that needs it. */
function settingsOrNone(): Settings | undefined {
  try {
    return readSettings([], process.env).settings
  } catch (error) {
    if (error instanceof UsageError) return undefined
    throw error
  }
}

/** Where the node that runs serves clients; as it is configured where its socket may not be opened. */
async function findRegistry({ data, http }: Settings): Promise<string | undefined> {
  try {
    const answer = await callRunningNode(data, 'status', {}, () => undefined)
    return (answer?.result as NodeStatus | undefined)?.running?.http
  } catch (error) {
    if (error instanceof SocketForbiddenError) return formatAddress(http)
    throw error
  }
}

/** `shoal policy`: who may publish what, and what people may do. */
import { readFile } from 'node:fs/promises'
import { systemReason } from '../../src/base/base.ts'
import type { Policy } from '../../src/records/records.ts'
import { perform } from '../admin/perform.ts'
import { defineCommand, json, usageLines } from '../command-line/command.ts'
import type { ShownMember } from '../operations/shown.ts'
import { formatTable, print, printable, printJson } from '../screen/output.ts'
import { flag } from '../settings/kinds.ts'
import { UsageError } from '../settings/settings.ts'

const usage = [
  'policy [show] [--json]',
  'policy set FILE [--dry-run] [--force] [--json]',
  'policy ban PEER|NAME [--drop] [--force] [--json]',
  'policy unban PEER|NAME [--json]',
]

export const command = defineCommand({
  usage,
  about: `
Without a policy every member may publish everywhere. Only the node that holds the cluster's authority key (the one that
started the cluster, see shoal authority) can change it; every node enforces it.

FILE is JSON:
  {
    "rules":     [{ "repositories": "team/**", "authors": ["12D3KooW…"] }],
    "immutable": [{ "repositories": "**", "tags": "v*" }],
    "sealers":   ["12D3KooW…"],
    "banned":    [],
    "administrators": ["12D3KooW…"],
    "access":    [{ "repositories": "team/**", "who": ["group:ci"], "may": ["pull", "push"] }],
    "accessMaxAge": "24h",
    "recovery":  { "keys": ["12D3KooW…", "12D3KooW…", "12D3KooW…"], "need": 2 },
    "members":   "approved",
    "quotas":    [{ "repositories": "team/**", "bytes": "10GiB", "tags": 100 }],
    "retention": [{ "repositories": "ci/**", "keepTags": 20, "keepMatching": ["v*"], "keepPulledWithin": "90d" }],
    "placement": [{ "repositories": "scratch/**", "copies": 1 }]
  }
The first rule whose pattern matches decides who may publish there; where none matches, every member may.
In patterns * is any text without a slash and ** any text. A tag under an immutable pattern is written once. The sealers
are members that say which push of such a tag was first; without that key those that are stay, or this node becomes one.
A banned member is told so and disconnected, and what it publishes from then on does not count; what it had published stays,
or with --drop goes away everywhere within two hours, but for manifests that tags or indexes of others refer to.
It tries again every five minutes, and is back when the ban is lifted. A ban is of a key, not of who has the token: with a
new key that is a member at once, until the token is changed (shoal token rotate), or where members have to be approved.
"members": "approved" makes a guest of whoever comes with the token, until shoal member approve; members that are there when
it is set are approved in the same step, and set --dry-run lists them. "token" ends that; without the key it stays as it is.
Administrators are members, or keys of shoal authority admin-key, that may write accounts (see shoal account). placement
says how many members hold what, and copies beside it how many of what no rule matches (2 without it). access says what
people may do, see shoal access; without that key, or with an empty list, everybody may everything. A node that heard from
no member for accessMaxAge lets nobody in by it. recovery says who may replace a lost authority key, and how many of them
it takes (shoal authority recover).
Quotas say what all repositories that match may have together, retention which tags of each stay; see docs/operations.md.

show prints JSON in any case; with --json the others print the policy as it is then.`,
  flags: {
    drop: { kind: flag, help: 'what the banned member had published goes away too' },
    'dry-run': { kind: flag, help: 'only list whom policy set would approve as members' },
    force: { kind: flag, help: 'let this node ban itself, which the others will hold to' },
    json,
  },
  actions: ['show', 'set', 'ban', 'unban'],
  maxWords: 2,
  examples: [
    ['policy show >policy.json', 'write what stands to a file'],
    ['policy set policy.json', 'make a file the policy'],
    ['policy ban host-c', 'disconnect a member, see shoal members'],
    ['policy ban host-c --drop', 'and remove what it had published'],
  ],
  async run({ settings, words: [action = 'show', subject], flags }) {
    if (action === 'show') {
      if (subject !== undefined) throw new UsageError(`policy show takes nothing; "${subject}" is too much`)
      printJson(await perform(settings, 'policy-show', {}))
      return 0
    }
    if (!['set', 'ban', 'unban'].includes(action)) {
      throw new UsageError(`"${action}" is not show, set, ban or unban`)
    }
    if (subject === undefined) throw new UsageError(`expected: ${usageLines(usage, action)}`)
    const { drop, force, 'dry-run': dryRun } = flags
    if (dryRun && action !== 'set') throw new UsageError('--dry-run is for policy set alone')
    if (drop && action !== 'ban') throw new UsageError('--drop is for policy ban alone')
    const file = action === 'set' ? await readPolicy(subject) : undefined
    const { approves } =
      action === 'set' ? await perform(settings, 'policy-plan', { policy: file }) : { approves: [] }
    if (dryRun) {
      if (flags.json) printJson({ approves })
      else print(planText(approves))
      return 0
    }
    const before = action === 'set' ? await perform(settings, 'policy-show', {}) : undefined
    const { policy, changed } =
      action === 'set'
        ? { policy: await perform(settings, 'policy-set', { policy: file, force }), changed: true }
        : await perform(settings, 'member-ban', { who: subject, banned: action === 'ban', drop, force })
    if (flags.json) printJson(policy)
    else if (action === 'set') print(`the policy is set\n${approves.length > 0 ? planText(approves) : ''}`)
    else print(banOutcome(action, subject, { policy, changed }, drop))
    if (before?.access !== undefined && policy.access === undefined)
      process.stderr.write(
        'The access rules are gone with it: everybody who reaches a node may everything now.\n',
      )
    return 0
  },
})

function planText(approves: ShownMember[]): string {
  if (approves.length === 0) return 'nobody is approved by it\n'
  const rows = approves.map(({ peer, name, state }) => [printable(name ?? '-'), state, peer])
  return `Members from now on; everybody else has to be approved:\n${formatTable([['NAME', 'STATE', 'ID'], ...rows])}`
}

export function banOutcome(
  action: string,
  subject: string,
  { policy: { members }, changed }: { policy: Policy; changed: boolean },
  drop: boolean,
): string {
  if (!changed)
    return `${subject} is ${action === 'unban' ? 'not banned' : 'banned already'}; nothing is changed\n`
  if (action === 'unban')
    return `${subject} is no longer banned; it is back within five minutes, if it runs and can be reached\n`
  return `${subject} is banned: members refuse its connections, and what it publishes from now on does not count.
What it had published ${drop ? 'goes away everywhere within two hours, but for what others refer to' : 'stays'}, and it keeps what it has. ${
    members === 'approved'
      ? 'With a new key it is a guest.'
      : `Whoever has the token is a member again with a new key:
to keep them out, rotate the token (shoal token rotate).`
  }
`
}

async function readPolicy(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (cause) {
    const what = cause instanceof SyntaxError ? 'is no JSON' : 'cannot be read'
    throw new UsageError(`${file} ${what}: ${systemReason(cause)}`, { cause })
  }
}

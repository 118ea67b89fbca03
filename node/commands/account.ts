/** `shoal account`: the people and robots that sign in at the cluster's nodes. */
import { perform } from '../admin/perform.ts'
import { findAdminKey, key } from '../command-line/admin-key.ts'
import { defineCommand, json, usageLines } from '../command-line/command.ts'
import { readPassword } from '../command-line/password.ts'
import type { AccountChange } from '../command-line/signed-accounts.ts'
import { rule, unruled } from '../network-access.ts'
import type { MadeRobot } from '../operations/account.ts'
import type { OperationTypes } from '../operations/operations.ts'
import type { ShownAccount } from '../operations/shown.ts'
import { formatTable, formatTime, print, printable, printJson } from '../screen/output.ts'
import { flag, lifetime, text } from '../settings/kinds.ts'
import { type Settings, UsageError } from '../settings/settings.ts'

const usage = [
  'account add NAME [--group G]... [--password-stdin] [--key FILE] [--json]',
  'account robot NAME [--expires TIME] [--note TEXT] [--group G]... [--key FILE] [--json]',
  'account passwd NAME [--password-stdin] [--expires TIME] [--key FILE] [--json]',
  'account groups NAME [--group G]... [--key FILE] [--json]',
  'account disable|enable|rm NAME [--key FILE] [--json]',
  'account ls [--json]',
]

const actions = ['add', 'robot', 'passwd', 'groups', 'disable', 'enable', 'rm', 'ls']

export const command = defineCommand({
  usage,
  about: `
Accounts are known at every node of the cluster within a second: docker login and its like work anywhere. What an account
may do is for the policy's access rules to say (shoal policy, shoal access explain); while there are none, everybody may
everything, with an account or without.

A person has a password of 8 characters at least, asked at a prompt or read from standard input. A robot, whose user
name is robot$NAME, has a secret that is printed once; --expires ends it, passwd gives either a new one. groups sets the
groups to those given. A disabled account cannot sign in until it is enabled; what it signed in by before is worth
nothing at once.

Accounts are written at the node that holds the cluster's authority key, or at one that the policy names in
"administrators"; with --key they are signed by an administrator's own key (shoal authority admin-key), in this command: the
node is given what was signed and never the key. Every member can read the hashes of passwords and secrets.`,
  flags: {
    group: {
      kind: text,
      value: 'G',
      help: 'a group that it is in; may be given several times',
      repeatable: true,
    },
    'password-stdin': { kind: flag, help: 'read the password from standard input' },
    expires: { kind: lifetime, value: 'TIME', help: 'after which the secret is worth nothing, such as 90d' },
    key,
    note: { kind: text, value: 'TEXT', help: 'what the robot is for' },
    json,
  },
  actions,
  maxWords: 2,
  examples: [
    ['account add ann --group developers', 'a person; asks for the password'],
    ['account robot deploy --expires 90d --note "the CI"', 'a robot; prints its secret'],
    ['account disable ann', 'keep it out, everywhere'],
    ['account add bob --key ann.key', "signed with an administrator's own key"],
  ],
  async run({ settings, words: [action, name], flags }) {
    if (action === 'ls' && name === undefined) return await list(settings, flags.json)
    if (action !== undefined && !actions.includes(action))
      throw new UsageError(`"${action}" is not ${actions.slice(0, -1).join(', ')} or ls`)
    if (action === undefined || name === undefined || action === 'ls')
      throw new UsageError(`expected: ${usageLines(usage, action)}`)
    const { group: groups, note, expires } = flags
    const fromStandardInput = flags['password-stdin']
    const isRobot = action === 'robot' || name.startsWith('robot$')
    if (groups.length > 0 && !['add', 'robot', 'groups'].includes(action))
      throw new UsageError('--group is for account add, robot and groups alone')
    if (fromStandardInput && (isRobot || !['add', 'passwd'].includes(action)))
      throw new UsageError(
        '--password-stdin is for account add, and passwd of a person, alone; the secret of a robot is made, not given',
      )
    if (note !== undefined && action !== 'robot') throw new UsageError('--note is for account robot alone')
    if (expires !== undefined && action !== 'robot' && !(action === 'passwd' && isRobot))
      throw new UsageError('--expires is for account robot, and passwd of a robot, alone')
    const change = await openChange(settings, flags.key)
    const ends = expires === undefined ? {} : { expiresMs: Date.now() + expires }
    if (action === 'robot') {
      const more = { ...ends, ...(note === undefined ? {} : { note }) }
      return tellSecret(await change('account-robot', { name, groups, ...more }), flags.json)
    }
    if (action === 'passwd' && isRobot)
      return tellSecret(await change('account-renew', { name, ...ends }), flags.json)
    if (action === 'rm') {
      const removed = await change('account-rm', { name })
      if (flags.json) printJson(removed)
      else print(`${name} is gone, and cannot sign in any more\n`)
      return 0
    }
    const account = await changed(change, action, name, groups, fromStandardInput)
    if (flags.json) printJson(account)
    else print(`${outcomes[action]?.(account) ?? name}\n`)
    tellUnruled(account)
    return 0
  },
})

/** Whoever makes an account may think that it closes something. */
function tellUnruled({ hasRules = true }: { hasRules?: boolean }): void {
  if (!hasRules) process.stderr.write(`So far it closes nothing: ${unruled}; ${rule}.\n`)
}

type Changed = ShownAccount & { registry?: string; hasRules?: boolean }

const outcomes: Record<string, (account: Changed) => string> = {
  add: ({ name, registry }) => `${name} can sign in at every node: docker login -u ${name} ${registry}`,
  passwd: ({ name }) => `${name} has a new password; the one of before is worth nothing`,
  groups: ({ name, groups }) => `${name} is in ${groups.length === 0 ? 'no group' : groups.join(', ')} now`,
  disable: ({ name }) => `${name} is disabled, and cannot sign in until it is enabled`,
  enable: ({ name }) => `${name} can sign in again`,
}

type ChangeAccount = <N extends AccountChange>(
  name: N,
  params: OperationTypes[N]['params'],
) => Promise<OperationTypes[N]['result']>

async function openChange(settings: Settings, file: string | undefined): Promise<ChangeAccount> {
  const own = await findAdminKey(file)
  if (own === undefined) return (name, params) => perform(settings, name, params)
  // Loaded only here: it brings along what decides on accounts.
  const { performSigned } = await import('../command-line/signed-accounts.ts')
  return (name, params) => performSigned(settings, name, params, own)
}

async function changed(
  change: ChangeAccount,
  action: string,
  name: string,
  groups: string[],
  fromStandardInput: boolean,
): Promise<Changed> {
  if (action === 'groups') return await change('account-groups', { name, groups })
  if (action === 'disable' || action === 'enable')
    return await change('account-disable', { name, disabled: action === 'disable' })
  const password = await readPassword(name, { fromStandardInput })
  return action === 'add'
    ? await change('account-add', { name, password, groups })
    : await change('account-password', { name, password })
}

function tellSecret(robot: MadeRobot, asJson: boolean): number {
  if (asJson) printJson(robot)
  else print(`${robot.secret}\n`)
  const until = robot.expiresMs === undefined ? '' : `, until ${formatTime(robot.expiresMs)} UTC`
  process.stderr.write(`The secret of ${robot.name}${until}. It is shown this once.\n`)
  tellUnruled(robot)
  return 0
}

async function list(settings: Settings, asJson: boolean): Promise<number> {
  const all: ShownAccount[] = []
  for (let after: string | undefined; ; ) {
    const { accounts, next } = await perform(settings, 'account-ls', after === undefined ? {} : { after })
    all.push(...accounts)
    if (next === undefined) break
    after = next
  }
  if (asJson) printJson(all)
  else if (all.length === 0) print('No account. Make one with: shoal account add NAME\n')
  else print(render(all))
  return 0
}

function render(accounts: ShownAccount[]): string {
  const rows = accounts.map((account) => [
    account.name,
    stateOf(account),
    account.groups.length === 0 ? '-' : account.groups.join(','),
    formatTime(account.writtenMs),
    printable(account.note ?? '-'),
  ])
  return formatTable([['NAME', 'STATE', 'GROUPS', 'CHANGED (UTC)', 'NOTE'], ...rows])
}

function stateOf({ disabledMs, expiresMs }: ShownAccount): string {
  if (disabledMs !== undefined) return 'disabled'
  if (expiresMs === undefined) return 'active'
  return expiresMs <= Date.now() ? 'expired' : `until ${formatTime(expiresMs)} UTC`
}

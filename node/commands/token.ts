/** `shoal token`: what another host needs to join this node's cluster, for good or once, and how that is made worthless. */
import { perform } from '../admin/perform.ts'
import { findAdminKey, key } from '../command-line/admin-key.ts'
import { defineCommand, json, usageLines } from '../command-line/command.ts'
import type { InvitationChange } from '../operations/invitation.ts'
import type { OperationTypes } from '../operations/operations.ts'
import type { ShownInvitation } from '../operations/shown.ts'
import { formatCount, formatTable, formatTime, print, printable, printJson } from '../screen/output.ts'
import { count, duration, flag, lifetime, word } from '../settings/kinds.ts'
import { type Settings, UsageError } from '../settings/settings.ts'

const dayMs = 24 * 3600_000
const defaultGraceMs = 7 * dayMs
const defaultExpiryMs = dayMs

const usage = [
  'token [--json]',
  'token create [--expires TIME] [--uses N] [--approved] [--site NAME] [--key FILE] [--json]',
  'token ls [--json]',
  'token revoke ID [--key FILE] [--json]',
  'token rotate [--grace TIME] [--json]',
]

export const command = defineCommand({
  usage,
  about: `
Prints the join token of this node's cluster. Whoever has it can become a member: keep it like a password.

create prints an invitation instead: a token for one host, or for --uses of them, that ends after a day, or --expires.
It is given to shoal serve --join like the other. Whoever comes with it is handed the cluster's secret by a member, and is
a member for good; revoke keeps out who has not come yet. Where members have to be approved (shoal policy, "members") it
makes a guest, unless it was made with --approved. ls lists them; with --json also who came.

rotate gives the cluster a new secret, and the members that this node knows get it over their connections: nobody
restarts, and nobody is without the others. It takes the authority's key. The secret of before goes on for the grace, so
that members that are away find back; then it ends, and with it the stay of whoever has no other. Ban those who are
to leave first (shoal member ban). The token of before leads no node back: where it still stands in a setting, it is
ignored with a warning.

Invitations are made and revoked where accounts are: at the node with the authority's key, at a node that the policy names
in "administrators", or, with --key, by an administrator's own key.`,
  flags: {
    expires: { kind: lifetime, value: 'TIME', help: 'how long an invitation is good (default 24h)' },
    uses: { kind: count, value: 'N', help: 'how many hosts it lets in (default 1)' },
    approved: { kind: flag, help: 'who comes with it needs no approval' },
    site: { kind: word, value: 'NAME', help: 'for nodes of this site alone (serve --site)' },
    grace: { kind: duration, value: 'TIME', help: 'how long the secret of before goes on (default 7d)' },
    key,
    json,
  },
  actions: ['create', 'ls', 'revoke', 'rotate'],
  maxWords: 2,
  examples: [
    ['token', 'print it'],
    ['serve --join "$(ssh host-a shoal token)"', 'on another host: join'],
    ['token create --expires 1h --uses 3', 'a token for three hosts within the hour'],
    ['token rotate --grace 1h', 'make the old token worthless in an hour'],
  ],
  async run({ settings, words: [action, id, surplus], flags }) {
    const { expires, uses, approved, site, grace } = flags
    if (action !== undefined && !['create', 'ls', 'revoke', 'rotate'].includes(action))
      throw new UsageError(`token takes nothing, create, ls, revoke or rotate; "${action}" is none of them`)
    if ((id !== undefined) !== (action === 'revoke') || surplus !== undefined)
      throw new UsageError(`expected: ${usageLines(usage, action)}`)
    if (grace !== undefined && action !== 'rotate') throw new UsageError('--grace belongs to token rotate')
    if (action !== 'create' && (expires ?? uses ?? site) !== undefined)
      throw new UsageError('--expires, --uses and --site belong to token create')
    if (approved && action !== 'create') throw new UsageError('--approved belongs to token create')
    if (flags.key !== undefined && action !== 'create' && action !== 'revoke')
      throw new UsageError('--key belongs to token create and token revoke')
    if (action === 'ls') return list(settings, flags.json)
    if (action === 'revoke') return await revoke(settings, id ?? '', flags)
    if (action === 'rotate') return await rotate(settings, grace ?? defaultGraceMs, flags.json)
    if (action === undefined) return await show(settings, flags.json)
    const change = await openChange(settings, flags.key)
    const made = await change('token-create', {
      expiresMs: expires ?? defaultExpiryMs,
      uses: uses ?? 1,
      approved,
      ...(site === undefined ? {} : { site }),
    })
    if (flags.json) printJson({ token: made.token, ...made.invitation })
    else print(`${made.token}\n`)
    const hosts = made.invitation.uses === 1 ? 'one host' : `${made.invitation.uses} hosts`
    process.stderr.write(
      `Invitation ${made.invitation.id.slice(0, 8)} is for ${hosts}, until ${formatTime(made.invitation.expiresMs)} UTC.\n`,
    )
    if (!made.running) process.stderr.write(notRunning)
    return 0
  },
})

const notRunning =
  'This node does not run, so the token may lack an address to find it by; mDNS or --bootstrap has to.\n'

async function show(settings: Settings, asJson: boolean): Promise<number> {
  const { token, running } = await perform(settings, 'token', {})
  if (asJson) printJson({ token })
  else print(`${token}\n`)
  if (!running) process.stderr.write(notRunning)
  return 0
}

async function list(settings: Settings, asJson: boolean): Promise<number> {
  const listed = await perform(settings, 'token-ls', {})
  if (asJson) printJson(listed)
  else if (listed.invitations.length === 0) print('There are no invitations; shoal token create makes one.\n')
  else {
    const head = ['ID', 'USED', 'UNTIL (UTC)', 'APPROVED', 'SITE', 'STATE']
    const rows = listed.invitations.map((one) => [
      one.id.slice(0, 8),
      `${one.admitted.length} of ${one.uses}`,
      formatTime(one.expiresMs),
      one.isApproved ? 'yes' : '-',
      printable(one.site ?? '-'),
      stateOf(one),
    ])
    print(formatTable([head, ...rows]))
  }
  return 0
}

function stateOf({ revokedMs, expiresMs, admitted, uses }: ShownInvitation): string {
  if (revokedMs !== undefined) return 'revoked'
  if (expiresMs <= Date.now()) return 'expired'
  return admitted.length >= uses ? 'used up' : 'good'
}

type ChangeInvitation = <N extends InvitationChange>(
  name: N,
  params: OperationTypes[N]['params'],
) => Promise<OperationTypes[N]['result']>

async function openChange(settings: Settings, file: string | undefined): Promise<ChangeInvitation> {
  const own = await findAdminKey(file)
  if (own === undefined) return (name, params) => perform(settings, name, params)
  // Loaded only here: it brings along what decides on invitations.
  const { performSigned } = await import('../command-line/signed-invitations.ts')
  return (name, params) => performSigned(settings, name, params, own)
}

async function revoke(
  settings: Settings,
  id: string,
  flags: { key: string | undefined; json: boolean },
): Promise<number> {
  const change = await openChange(settings, flags.key)
  const revoked = await change('token-revoke', { id })
  if (flags.json) printJson(revoked)
  else
    print(
      `invitation ${revoked.id.slice(0, 8)} lets nobody in any more; ${revoked.admitted.length} came with it, and stay\n`,
    )
  return 0
}

async function rotate(settings: Settings, graceMs: number, asJson: boolean): Promise<number> {
  const { token, running, members } = await perform(settings, 'token-rotate', { graceMs })
  if (asJson) printJson({ token, members })
  else print(`${token}\n`)
  const when = running ? '' : ', once this node runs'
  process.stderr.write(
    `The new secret goes to ${formatCount(members.length, 'member')}${when}; a node that is not among them joins with this token.\n`,
  )
  return 0
}

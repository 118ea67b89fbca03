/** `shoal member`: what the cluster says of one host. */
import { perform } from '../admin/perform.ts'
import { findAdminKey, key } from '../command-line/admin-key.ts'
import { calledIn } from '../command-line/called.ts'
import { defineCommand, json, usageLines } from '../command-line/command.ts'
import type { MemberChange } from '../operations/member.ts'
import type { OperationTypes } from '../operations/operations.ts'
import { print, printJson } from '../screen/output.ts'
import { flag } from '../settings/kinds.ts'
import { type Settings, UsageError } from '../settings/settings.ts'
import { banOutcome } from './policy.ts'

const usage = [
  'member approve PEER|NAME [--key FILE] [--json]',
  'member ban PEER|NAME [--drop] [--force] [--json]',
  'member unban PEER|NAME [--json]',
  'member forget PEER|NAME [--key FILE] [--json]',
  'member rename PEER|NAME NEW-NAME [--key FILE] [--json]',
]
const actions = ['approve', 'ban', 'unban', 'forget', 'rename']

export const command = defineCommand({
  usage,
  about: `
A host is given by its id, by the beginning of it (also without 12D3KooW) where that is no other's, or by the name that
shoal members lists. A name that a host gives itself proves nothing: compare the id before you approve.

approve makes a guest a member, where the policy says "members": "approved", and says ahead of time of a whole id that
it may come. ban and unban are those of shoal policy. forget is for a host that was replaced: nobody looks for it any
more, and shoal peers and shoal doctor leave it out; what it published stays. Where members have to be approved it is a
guest if it comes back; approve takes that back. rename gives a host a name that every node knows.

approve, forget and rename take the authority's key, a node that the policy names in "administrators", or, with --key, an
administrator's own key; ban and unban change the policy, and take the authority's key.`,
  flags: {
    drop: { kind: flag, help: 'what the banned member had published goes away too' },
    force: { kind: flag, help: 'let this node ban itself, which the others will hold to' },
    key,
    json,
  },
  actions,
  maxWords: 3,
  examples: [
    ['member approve host-c', 'let a guest in'],
    ['member ban host-c --drop', 'disconnect a member, and remove what it had published'],
    ['member forget host-b', 'stop looking for a host that was replaced'],
  ],
  async run({ settings, words: [action, who, name], flags }) {
    if (action !== undefined && !actions.includes(action))
      throw new UsageError(`"${action}" is not approve, ban, unban, forget or rename`)
    if (action === undefined || who === undefined || (name !== undefined) !== (action === 'rename'))
      throw new UsageError(`expected: ${usageLines(usage, action)}`)
    const { drop, force } = flags
    if (drop && action !== 'ban') throw new UsageError('--drop is for member ban alone')
    if (force && action !== 'ban') throw new UsageError('--force is for member ban alone')
    const say = async (result: object, text: string): Promise<number> => {
      if (flags.json) printJson(result)
      else print((await calledIn(settings, text)).inWords(text))
      return 0
    }
    if (action === 'ban' || action === 'unban') {
      if (flags.key !== undefined)
        throw new UsageError(
          "--key is for approve, forget and rename; ban and unban take the authority's key",
        )
      const done = await perform(settings, 'member-ban', { who, banned: action === 'ban', drop, force })
      return await say(done, banOutcome(action, done.peer, done, drop))
    }
    const change = await openChange(settings, flags.key)
    if (action === 'approve') {
      const done = await change('member-approve', { who })
      return await say(done, `${done.peer} is approved; it is a member as soon as it and another meet\n`)
    }
    if (action === 'forget') {
      const done = await change('member-forget', { who })
      return await say(done, `${done.peer} is forgotten: nobody looks for it any more\n`)
    }
    const done = await change('member-rename', { who, name: name ?? '' })
    return await say(done, `${who} is called ${name} from now on\n`)
  },
})

type ChangeMember = <N extends MemberChange>(
  name: N,
  params: OperationTypes[N]['params'],
) => Promise<OperationTypes[N]['result']>

async function openChange(settings: Settings, file: string | undefined): Promise<ChangeMember> {
  const own = await findAdminKey(file)
  if (own === undefined) return (name, params) => perform(settings, name, params)
  // Loaded only here: it brings along what decides on members.
  const { performSigned } = await import('../command-line/signed-members.ts')
  return (name, params) => performSigned(settings, name, params, own)
}

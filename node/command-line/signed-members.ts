/** Changes of members that the command itself decides on and signs, with an administrator's own key: no node ever has that. */
import { signMember } from '../../src/records/records.ts'
import type { Identity } from '../../src/wire/wire.ts'
import { perform } from '../admin/perform.ts'
import * as member from '../operations/member.ts'
import type { OperationTypes } from '../operations/operations.ts'
import type { Settings } from '../settings/settings.ts'

const changes = {
  'member-approve': member.approveMember,
  'member-forget': member.forgetMember,
  'member-rename': member.renameMember,
}

/** As `perform`: what the node is asked for is who goes by that name and what stands, and to take the record that was signed here. */
export async function performSigned<N extends member.MemberChange>(
  settings: Settings,
  name: N,
  params: OperationTypes[N]['params'],
  identity: Identity,
): Promise<OperationTypes[N]['result']> {
  const known = new Map<string, member.FoundMember>()
  const names: member.MemberNames = {
    async find(who, name) {
      const found = await perform(settings, 'member-find', { who, ...(name === undefined ? {} : { name }) })
      known.set(found.peer, found)
      return found
    },
    async change(peer, decide) {
      const { value = {}, record } = known.get(peer) ?? {}
      const standing = record === undefined ? undefined : Buffer.from(record, 'base64')
      const signed = signMember({ peer, value: decide(value), standing }, identity, Date.now())
      await perform(settings, 'record-submit', { record: Buffer.from(signed).toString('base64') })
    },
  }
  const change = changes[name] as (names: member.MemberNames, params: unknown) => Promise<unknown>
  return (await change(names, params)) as OperationTypes[N]['result']
}

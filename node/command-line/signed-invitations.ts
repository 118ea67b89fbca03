/** Invitations that the command itself makes and signs, with an administrator's own key: no node ever has that. */
import { readInvitation, signInvitation } from '../../src/records/records.ts'
import { parseToken } from '../../src/swarm/cluster/token.ts'
import type { Identity } from '../../src/wire/wire.ts'
import { perform } from '../admin/perform.ts'
import * as invitation from '../operations/invitation.ts'
import type { OperationTypes } from '../operations/operations.ts'
import type { Settings } from '../settings/settings.ts'

const changes = {
  'token-create': invitation.makeInvitation,
  'token-revoke': invitation.endInvitation,
}

/** As `perform`: what the node is asked for is what stands, and to take the record that was signed here. */
export async function performSigned<N extends invitation.InvitationChange>(
  settings: Settings,
  name: N,
  params: OperationTypes[N]['params'],
  identity: Identity,
): Promise<OperationTypes[N]['result']> {
  const names: invitation.InvitationNames = {
    list: async () => (await perform(settings, 'token-ls', {})).invitations,
    async cluster() {
      const { token, running } = await perform(settings, 'token', {})
      return { ...parseToken(token), running }
    },
    async change(id, decide) {
      const { record } = await perform(settings, 'token-find', { id })
      const standing = record === undefined ? undefined : Buffer.from(record, 'base64')
      const value = decide(standing && readInvitation(standing))
      const signed = signInvitation({ id, value, standing }, identity, Date.now())
      await perform(settings, 'record-submit', { record: Buffer.from(signed).toString('base64') })
    },
  }
  const change = changes[name] as (names: invitation.InvitationNames, params: unknown) => Promise<unknown>
  return (await change(names, params)) as OperationTypes[N]['result']
}

/** The invitations: how often each was used, until when it is good, and how it is taken back. */
import { useState } from 'preact/hooks'
import type { InvitationRow, InvitationsAnswer } from '../../answers/members.ts'
import { change } from '../api.ts'
import { formatCount, formatTime } from '../format.ts'
import { useAnswer } from '../use-answer.ts'
import { invitationState } from '../words.ts'
import { Confirm } from './confirm.tsx'
import { Answered } from './states.tsx'

export function Invitations({ mayChange }: { mayChange: boolean }) {
  const answer = useAnswer<InvitationsAnswer>('/api/invitations')
  const [asked, setAsked] = useState<InvitationRow>()
  return (
    <section aria-labelledby="invitations">
      <h2 id="invitations">Invitations</h2>
      <Answered of={answer} waiting="the invitations">
        {({ invitations }) =>
          invitations.length === 0 ? (
            <p class="quiet">
              None. The cluster’s own token, which shoal token prints, lets in whoever has it.
            </p>
          ) : (
            <Table invitations={invitations} {...(mayChange ? { onRevoke: setAsked } : {})} />
          )
        }
      </Answered>
      {asked !== undefined && (
        <Confirm
          title={`Revoke the invitation ${shortId(asked)}?`}
          action="Revoke it"
          onConfirm={async () => {
            await change('/api/token-revoke', { id: asked.id })
            answer.again()
          }}
          onClose={() => setAsked(undefined)}
        >
          <p>
            It lets nobody in any more.{' '}
            {asked.admitted.length > 0 &&
              `${formatCount(asked.admitted.length, 'host')} came with it, and stay: a ban keeps them out.`}
          </p>
        </Confirm>
      )}
    </section>
  )
}

function Table({
  invitations,
  onRevoke,
}: {
  invitations: InvitationRow[]
  onRevoke?(invitation: InvitationRow): void
}) {
  return (
    <table class="table invitations">
      <thead>
        <tr>
          <th scope="col">Invitation</th>
          <th scope="col">State</th>
          <th scope="col">Used</th>
          <th scope="col">Until</th>
          <th scope="col">Approved</th>
          <th scope="col">Site</th>
          {onRevoke !== undefined && <th scope="col">Change</th>}
        </tr>
      </thead>
      <tbody>
        {invitations.map((invitation) => {
          const { id, uses, admitted, expiresMs, isApproved, site } = invitation
          const stands = invitationState(invitation, Date.now())
          return (
            <tr key={id}>
              <td class="name">
                <code title={id}>{shortId(invitation)}</code>
              </td>
              <td>{stands}</td>
              <td data-what="Used" title={admitted.join(', ')}>
                {admitted.length} of {uses}
              </td>
              <td data-what="Until">{formatTime(expiresMs)}</td>
              <td data-what="Approved">{isApproved ? 'yes' : '–'}</td>
              <td data-what="Site">{site ?? '–'}</td>
              {onRevoke !== undefined && (
                <td>
                  {stands === 'good' && (
                    <button
                      type="button"
                      class="small"
                      aria-label={`Revoke ${shortId(invitation)}…`}
                      onClick={() => onRevoke(invitation)}
                    >
                      Revoke…
                    </button>
                  )}
                </td>
              )}
            </tr>
          )
        })}
      </tbody>
    </table>
  )
}

function shortId({ id }: InvitationRow): string {
  return id.slice(0, 8)
}

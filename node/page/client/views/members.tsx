/** Who belongs to the cluster and who would like to, and how others are let in, with the words of `shoal members` and `shoal token`. */
import { useState } from 'preact/hooks'
import type { MadeInvitationAnswer, MemberRow, MembersAnswer } from '../../answers/members.ts'
import { formatTime, shortPeer } from '../format.ts'
import { state } from '../live.ts'
import { Age } from '../parts/age.tsx'
import { Copyable } from '../parts/copy.tsx'
import { Invitations } from '../parts/invitations.tsx'
import { ApproveAhead, BanQuestion, Invite, MemberPanel } from '../parts/member-panel.tsx'
import { Answered } from '../parts/states.tsx'
import { me } from '../session.ts'
import { useAnswer } from '../use-answer.ts'
import { membersInWords } from '../words.ts'
import { Elsewhere } from './account.tsx'

type Open = 'invite' | 'approve' | { change: MemberRow } | { ban: MemberRow }

export function MembersView() {
  const there = [...(state.value?.members ?? []), ...(state.value?.lost ?? [])]
  const answer = useAnswer<MembersAnswer>('/api/members', { along: there.map(({ peer }) => peer).join() })
  return (
    <>
      <h1>Members</h1>
      <Answered of={answer} waiting="the members">
        {(members) => <Members members={members} again={answer.again} />}
      </Answered>
    </>
  )
}

function Members({ members: answer, again }: { members: MembersAnswer; again(): void }) {
  const { mode, self, members, isCut } = answer
  const [open, setOpen] = useState<Open>()
  const [made, setMade] = useState<MadeInvitationAnswer>()
  const { admits = false, writesAccounts = false, writesPolicy = false } = me.value ?? {}
  const mayChange = admits && writesAccounts
  const close = () => setOpen(undefined)
  const done = () => {
    close()
    again()
  }
  return (
    <>
      <p class="lead">{membersInWords(answer)}</p>
      {admits && !writesAccounts && <Elsewhere />}
      {mayChange && (
        <div class="tools">
          <button type="button" onClick={() => setOpen('invite')}>
            Invite a host…
          </button>
          {mode === 'approved' && (
            <button type="button" onClick={() => setOpen('approve')}>
              Approve by its id…
            </button>
          )}
        </div>
      )}
      {made !== undefined && <Token made={made} />}
      <table class="table roster">
        <thead>
          <tr>
            <th scope="col">Member</th>
            <th scope="col">State</th>
            <th scope="col">Site</th>
            <th scope="col">Version</th>
            <th scope="col">Since</th>
            {mayChange && <th scope="col">Change</th>}
          </tr>
        </thead>
        <tbody>
          {members.map((member) => (
            <Row
              key={member.peer}
              member={member}
              isSelf={member.peer === self}
              {...(mayChange ? { onChange: () => setOpen({ change: member }) } : {})}
            />
          ))}
        </tbody>
      </table>
      {isCut && <p class="quiet">There are more; shoal members lists them all.</p>}
      {admits && <Invitations mayChange={mayChange} />}
      {!admits && (
        <p class="quiet">
          Who signs in and is given <code>members</code> by the access rules changes members here. On a node’s
          host: <code>shoal member</code>, <code>shoal token</code>.
        </p>
      )}
      {open === 'invite' && (
        <Invite
          mode={mode}
          onClose={close}
          onMade={(invitation) => {
            setMade(invitation)
            close()
          }}
        />
      )}
      {open === 'approve' && <ApproveAhead onDone={done} onClose={close} />}
      {typeof open === 'object' && 'change' in open && (
        <MemberPanel
          member={open.change}
          mode={mode}
          isSelf={open.change.peer === self}
          writesPolicy={writesPolicy}
          onBan={() => setOpen({ ban: open.change })}
          onDone={done}
          onClose={close}
        />
      )}
      {typeof open === 'object' && 'ban' in open && (
        <BanQuestion member={open.ban} mode={mode} onDone={again} onClose={close} />
      )}
    </>
  )
}

interface RowProps {
  member: MemberRow
  isSelf: boolean
  onChange?(): void
}

function Row({ member, isSelf, onChange }: RowProps) {
  const { peer, name, state: stands, site, version, sinceMs, from } = member
  const called = name ?? shortPeer(peer)
  return (
    <tr>
      <td class="name">
        {called}
        {isSelf && <span class="tagged">this node</span>}
        <span class="quiet address" title={peer}>
          {peer}
        </span>
      </td>
      <td>
        <span class={`stands ${stands}`}>{stands}</span>
        {from !== undefined && <span class="quiet address">at {from}</span>}
      </td>
      <td data-what="Site">{site ?? '–'}</td>
      <td data-what="Version">{version ?? '–'}</td>
      <td data-what="Since">{sinceMs === undefined ? '–' : <Age atMs={sinceMs} />}</td>
      {onChange !== undefined && (
        <td>
          <button type="button" class="small" aria-label={`Change ${called}…`} onClick={onChange}>
            Change…
          </button>
        </td>
      )}
    </tr>
  )
}

function Token({ made: { token, invitation } }: { made: MadeInvitationAnswer }) {
  return (
    <div class="notice good" role="status">
      <p>
        An invitation for {invitation.uses === 1 ? 'one host' : `${invitation.uses} hosts`}, until{' '}
        {formatTime(invitation.expiresMs)}. The token is shown this once; on the other host:{' '}
        <code>shoal serve --join TOKEN</code>
      </p>
      <Copyable text={token} label="the token" />
    </div>
  )
}

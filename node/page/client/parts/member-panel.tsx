/** What is done with members: let in, named, forgotten, banned and let back. */
import { useState } from 'preact/hooks'
import type { MadeInvitationAnswer, MemberRow, MembersAnswer } from '../../answers/members.ts'
import { change } from '../api.ts'
import { shortPeer } from '../format.ts'
import { banInWords } from '../words.ts'
import { Confirm } from './confirm.tsx'
import { Field, Form, Tick, textOf } from './fields.tsx'
import { Panel } from './panel.tsx'

type Mode = MembersAnswer['mode']

export interface MemberPanelProps {
  member: MemberRow
  mode: Mode
  isSelf: boolean
  /** Whether this node can ban. */
  writesPolicy: boolean
  onBan(): void
  onDone(): void
  onClose(): void
}

export function MemberPanel(props: MemberPanelProps) {
  const { member, mode, isSelf, writesPolicy, onBan, onDone, onClose } = props
  const { peer, name, state } = member
  const done = async (path: string, body: object): Promise<void> => {
    await change(path, { peer, ...body })
    onDone()
  }
  const isApprovable = state === 'guest' || state === 'gone' || (mode === 'approved' && state === 'away')
  return (
    <Panel title={name ?? shortPeer(peer)} onClose={onClose}>
      <p class="quiet">
        <code>{peer}</code>
      </p>
      {isApprovable && (
        <Form action="Approve" label="Approve" onSend={() => done('/api/member-approve', {})}>
          <p>
            A name that a host gives itself proves nothing: compare the id with what shoal peers says there.
          </p>
        </Form>
      )}
      <Form
        action="Rename"
        label="Rename"
        onSend={(fields) => done('/api/member-rename', { name: textOf(fields, 'name').trim() })}
      >
        <Field label="Name" name="name" value={name ?? ''} hint="what every node calls it" />
      </Form>
      {!isSelf && state !== 'gone' && state !== 'banned' && (
        <Form action="Forget" label="Forget" onSend={() => done('/api/member-forget', {})}>
          <p>
            For a host that was replaced: nobody looks for it any more. What it published stays
            {mode === 'approved' ? ', and if it comes back it is a guest.' : '.'}
          </p>
        </Form>
      )}
      {!isSelf && writesPolicy && state === 'banned' && (
        <Form
          action="Unban"
          label="Unban"
          onSend={() => done('/api/member-ban', { banned: false, drop: false })}
        >
          <p>It is back within five minutes, if it runs and can be reached.</p>
        </Form>
      )}
      {!isSelf && writesPolicy && state !== 'banned' && (
        <button type="button" class="grave" onClick={onBan}>
          Ban…
        </button>
      )}
      {!isSelf && !writesPolicy && (
        <p class="quiet">Bans take the authority’s key: use the page of the node that has it.</p>
      )}
    </Panel>
  )
}

export interface BanQuestionProps {
  member: MemberRow
  mode: Mode
  onDone(): void
  onClose(): void
}

export function BanQuestion({ member: { peer, name }, mode, onDone, onClose }: BanQuestionProps) {
  const [drop, setDrop] = useState(false)
  const called = name ?? shortPeer(peer)
  return (
    <Confirm
      title={`Ban ${called}?`}
      action={`Ban ${called}`}
      onConfirm={async () => {
        await change('/api/member-ban', { peer, banned: true, drop })
        onDone()
      }}
      onClose={onClose}
    >
      <ul class="said">
        {banInWords(mode, drop).map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
      <Tick label="Remove what it had published" name="drop" isOn={drop} onChange={setDrop} />
    </Confirm>
  )
}

export interface InviteProps {
  mode: Mode
  onMade(made: MadeInvitationAnswer): void
  onClose(): void
}

export function Invite({ mode, onMade, onClose }: InviteProps) {
  const [approved, setApproved] = useState(false)
  const send = async (fields: FormData): Promise<void> => {
    onMade(
      await change<MadeInvitationAnswer>('/api/token-create', {
        expires: textOf(fields, 'expires'),
        uses: textOf(fields, 'uses'),
        site: textOf(fields, 'site').trim(),
        approved,
      }),
    )
  }
  return (
    <Panel title="Invite a host" onClose={onClose}>
      <Form action="Make the token" label="Invite a host" onSend={send}>
        <Field label="Expires after" name="expires" value="24h" hint="such as 1h, 24h or 7d" />
        <Field label="Hosts" name="uses" type="number" value="1" hint="how many may come with it" />
        <Field label="Site" name="site" hint="for hosts of this site alone" isOptional />
        {mode === 'approved' && (
          <Tick
            label="Who comes with it needs no approval"
            name="approved"
            isOn={approved}
            onChange={setApproved}
          />
        )}
      </Form>
    </Panel>
  )
}

/** Says of an id that its host may come. */
export function ApproveAhead({ onDone, onClose }: { onDone(): void; onClose(): void }) {
  const send = async (fields: FormData): Promise<void> => {
    await change('/api/member-approve', {
      peer: textOf(fields, 'peer').trim(),
      name: textOf(fields, 'name').trim(),
    })
    onDone()
  }
  return (
    <Panel title="Approve a host by its id" onClose={onClose}>
      <Form action="Approve" label="Approve" onSend={send}>
        <Field label="Peer id" name="peer" hint="the whole of it, as shoal peers says on that host" />
        <Field label="Name" name="name" hint="what every node is to call it" isOptional />
      </Form>
    </Panel>
  )
}

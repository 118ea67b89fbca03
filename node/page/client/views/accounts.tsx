/** People and robots: who there is, and everything that is done with them. */
import { useState } from 'preact/hooks'
import type { AccountRow, MadeRobotAnswer } from '../../answers/access.ts'
import { change } from '../api.ts'
import { AccountPanel } from '../parts/account-panel.tsx'
import { Age } from '../parts/age.tsx'
import { Copyable } from '../parts/copy.tsx'
import { Field, Form, listOf, textOf } from '../parts/fields.tsx'
import { Filter } from '../parts/filter.tsx'
import { LongTable } from '../parts/long-table.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty } from '../parts/states.tsx'
import { me } from '../session.ts'
import { accountState } from '../words.ts'
import { Elsewhere } from './account.tsx'

type Open = 'person' | 'robot' | AccountRow

export function AccountsView() {
  const [typed, setTyped] = useState('')
  const [open, setOpen] = useState<Open>()
  const [made, setMade] = useState<MadeRobotAnswer>()
  const close = () => setOpen(undefined)
  const tell = (robot: MadeRobotAnswer) => {
    setMade(robot)
    close()
  }
  const mayChange = me.value?.writesAccounts === true
  return (
    <>
      <h1>Accounts</h1>
      {mayChange ? (
        <div class="tools">
          <button type="button" onClick={() => setOpen('person')}>
            Add a person…
          </button>
          <button type="button" onClick={() => setOpen('robot')}>
            Add a robot…
          </button>
        </div>
      ) : (
        <Elsewhere />
      )}
      {made !== undefined && <Secret robot={made} />}
      <Filter label="Only accounts with" onChange={setTyped} />
      <LongTable<AccountRow>
        path={`/api/accounts?q=${encodeURIComponent(typed)}`}
        what={['account', 'accounts']}
        kind="accounts"
        columns={['Account', 'State', 'Groups', 'Changed', 'Note', 'Change']}
        keyOf={({ name }) => name}
        empty={<Empty title={typed === '' ? 'There is no account.' : `No account has “${typed}”.`} />}
      >
        {(row) => (
          <>
            <td class="name">{row.name}</td>
            <td>{accountState(row, Date.now())}</td>
            <td title={row.groups.join(', ')}>{row.groups.join(', ')}</td>
            <td>
              <Age atMs={row.writtenMs} />
            </td>
            <td title={row.note}>{row.note}</td>
            <td>
              {mayChange && (
                <button
                  type="button"
                  class="small"
                  aria-label={`Change ${row.name}…`}
                  onClick={() => setOpen(row)}
                >
                  Change…
                </button>
              )}
            </td>
          </>
        )}
      </LongTable>
      {open === 'person' && <NewPerson onClose={close} />}
      {open === 'robot' && <NewRobot onMade={tell} onClose={close} />}
      {typeof open === 'object' && <AccountPanel account={open} onSecret={tell} onClose={close} />}
    </>
  )
}

function Secret({ robot: { name, secret } }: { robot: MadeRobotAnswer }) {
  return (
    <div class="notice good" role="status">
      <p>The secret of {name}. It is shown this once.</p>
      <Copyable text={secret} label={`the secret of ${name}`} />
    </div>
  )
}

function NewPerson({ onClose }: { onClose(): void }) {
  const send = async (fields: FormData): Promise<void> => {
    const [name, password] = [textOf(fields, 'name').trim(), textOf(fields, 'password')]
    await change('/api/account-add', { name, password, groups: listOf(fields, 'groups') })
    onClose()
  }
  return (
    <Panel title="Add a person" onClose={onClose}>
      <Form action="Add the person" label="Add a person" onSend={send}>
        <Field label="Name" name="name" hint="of a-z, 0-9 and . _ - @" />
        <Field label="Password" name="password" type="password" autocomplete="new-password" />
        <Field label="Groups" name="groups" hint="with commas between" isOptional />
      </Form>
    </Panel>
  )
}

function NewRobot({ onMade, onClose }: { onMade(robot: MadeRobotAnswer): void; onClose(): void }) {
  const send = async (fields: FormData): Promise<void> => {
    const days = textOf(fields, 'days')
    onMade(
      await change<MadeRobotAnswer>('/api/account-robot', {
        name: textOf(fields, 'name').trim(),
        groups: listOf(fields, 'groups'),
        note: textOf(fields, 'note'),
        ...(days === '' ? {} : { days: Number(days) }),
      }),
    )
  }
  return (
    <Panel title="Add a robot" onClose={onClose}>
      <Form action="Add the robot" label="Add a robot" onSend={send}>
        <Field label="Name" name="name" hint="its user name is robot$NAME" />
        <Field label="Expires after days" name="days" type="number" isOptional />
        <Field label="Note" name="note" hint="what it is for" isOptional />
        <Field label="Groups" name="groups" hint="with commas between" isOptional />
      </Form>
    </Panel>
  )
}

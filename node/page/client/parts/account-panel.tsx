/** What is done with one account: its groups, another password or secret, keeping it out for a while or for good. */
import type { AccountRow, MadeRobotAnswer } from '../../answers/access.ts'
import { change } from '../api.ts'
import { Field, Form, listOf, textOf } from './fields.tsx'
import { Panel } from './panel.tsx'

export interface AccountPanelProps {
  account: AccountRow
  onSecret(robot: MadeRobotAnswer): void
  onClose(): void
}

export function AccountPanel({ account, onSecret, onClose }: AccountPanelProps) {
  const { name, type, groups, disabledMs } = account
  const isDisabled = disabledMs !== undefined
  const done = async (path: string, body: object): Promise<void> => {
    await change(path, { name, ...body })
    onClose()
  }
  return (
    <Panel title={name} onClose={onClose}>
      <Form
        action="Set the groups"
        label="Groups"
        onSend={(fields) => done('/api/account-groups', { groups: listOf(fields, 'groups') })}
      >
        <Field label="Groups" name="groups" value={groups.join(', ')} hint="with commas between" isOptional />
      </Form>
      {type === 'person' ? (
        <Form
          action="Set the password"
          label="Password"
          onSend={(fields) => done('/api/account-password', { password: textOf(fields, 'password') })}
        >
          <Field label="New password" name="password" type="password" autocomplete="new-password" />
        </Form>
      ) : (
        <Form
          action="Give it another secret"
          label="Secret"
          onSend={async () => onSecret(await change<MadeRobotAnswer>('/api/account-renew', { name }))}
        />
      )}
      <Form
        action={isDisabled ? 'Enable' : 'Disable'}
        label={isDisabled ? 'Enable' : 'Disable'}
        onSend={() => done('/api/account-disable', { disabled: !isDisabled })}
      />
      <Form action="Remove for good" label="Remove" isGrave onSend={() => done('/api/account-rm', {})} />
    </Panel>
  )
}

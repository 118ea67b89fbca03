/** Who has signed in: their groups, what they may do where, their password, and the way out. */
import { useState } from 'preact/hooks'
import type { MeAnswer } from '../../answers/access.ts'
import { change } from '../api.ts'
import { formatList } from '../format.ts'
import { Explain } from '../parts/explain.tsx'
import { Field, Form, textOf } from '../parts/fields.tsx'
import { me, signOut } from '../session.ts'
import { SignInView, Unruled } from './sign-in.tsx'

export function AccountView() {
  const { name, groups = [], writesAccounts = false } = me.value ?? {}
  if (name === undefined) return <SignInView />
  return (
    <>
      <h1>{name}</h1>
      {me.value?.hasRules === false && <Unruled />}
      <p class="lead">{groups.length === 0 ? 'In no group.' : `In ${formatList(groups, 32)}.`}</p>
      {me.value?.sees === 'nothing' && (
        <p class="notice warn">
          No rule lets this account pull anything yet. Whoever sets the policy can change that.
        </p>
      )}
      <Form action="Sign out" label="Sign out" onSend={signOut} />
      <section aria-labelledby="may">
        <h2 id="may">What you may do</h2>
        <Explain />
      </section>
      <Password name={name} writesAccounts={writesAccounts} />
    </>
  )
}

function Password({ name, writesAccounts }: Pick<MeAnswer, 'writesAccounts'> & { name: string }) {
  const [isDone, setDone] = useState(false)
  if (name.startsWith('robot$')) return null
  const send = async (fields: FormData): Promise<void> => {
    await change('/api/own-password', {
      current: textOf(fields, 'current'),
      password: textOf(fields, 'password'),
    })
    setDone(true)
  }
  return (
    <section aria-labelledby="password">
      <h2 id="password">Password</h2>
      {writesAccounts ? (
        <Form action="Change the password" label="Change the password" onSend={send}>
          <Field label="Password now" name="current" type="password" autocomplete="current-password" />
          <Field label="New password" name="password" type="password" autocomplete="new-password" />
        </Form>
      ) : (
        <Elsewhere />
      )}
      {isDone && (
        <p class="notice good" role="status">
          The password is changed, and everything that was signed in by the one of before is out.
        </p>
      )}
    </section>
  )
}

/** Where this node cannot sign accounts. */
export function Elsewhere() {
  return (
    <p class="quiet">
      This node signs no accounts. Use the page of one that does: of a member that the policy names in
      “administrators”, or where the authority’s key is.
    </p>
  )
}

/** How one signs in: with the name and password that docker login takes. */
import { Field, Form, textOf } from '../parts/fields.tsx'
import { me, signIn } from '../session.ts'

export function SignInView({ onDone }: { onDone?: () => void }) {
  return (
    <>
      <h1>Sign in</h1>
      {me.value?.hasRules === false && <Unruled />}
      <p>With the name and the password of your account, as for docker login.</p>
      <Form
        action="Sign in"
        label="Sign in"
        onSend={async (fields) => {
          await signIn(textOf(fields, 'name').trim(), textOf(fields, 'password'))
          onDone?.()
        }}
      >
        <Field label="Name" name="name" autocomplete="username" />
        <Field label="Password" name="password" type="password" autocomplete="current-password" />
      </Form>
      <p class="quiet">
        Whoever administers accounts makes one with <code>shoal account add NAME</code>, or on this page.
      </p>
    </>
  )
}

/** Where accounts close nothing. */
export function Unruled() {
  return (
    <p class="notice warn">
      The policy has no access rules, so everybody may pull, push and delete everything, signed in or not.
      Rules are the policy’s key “access”, which <code>shoal policy set FILE</code> sets.
    </p>
  )
}

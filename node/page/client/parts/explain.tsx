/** What somebody may do with a repository, and for who may know it, by which rule. */
import { useState } from 'preact/hooks'
import type { ExplainAnswer } from '../../answers/access.ts'
import { ask } from '../api.ts'
import { explainInWords } from '../words.ts'
import { Field, Form, textOf } from './fields.tsx'

export function Explain({ ofAnybody = false }: { ofAnybody?: boolean }) {
  const [answer, setAnswer] = useState<ExplainAnswer>()
  const send = async (fields: FormData): Promise<void> => {
    const query = new URLSearchParams({
      repository: textOf(fields, 'repository').trim(),
      who: textOf(fields, 'who').trim(),
    })
    setAnswer(await ask<ExplainAnswer>(`/api/explain?${query}`))
  }
  return (
    <>
      <Form action="Explain" label="Explain" onSend={send}>
        {ofAnybody && (
          <Field label="Who" name="who" hint="an account’s name, group:NAME, anyone or anonymous" />
        )}
        <Field label="Repository" name="repository" />
      </Form>
      {answer !== undefined && (
        <p class="notice good" role="status">
          {explainInWords(answer)}
        </p>
      )}
    </>
  )
}

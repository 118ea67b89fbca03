/** What stands where an answer will be, or could not be, or is empty. */
import type { ComponentChildren } from 'preact'
import type { Answer } from '../use-answer.ts'

/** The view of an answer, or of waiting for it, or of why it does not come. What was answered before stays below an error. */
export function Answered<T>({
  of,
  waiting,
  children,
}: {
  of: Answer<T>
  /** What is being waited for, such as `the tags`. */
  waiting: string
  children: (answer: T) => ComponentChildren
}) {
  const { answer, error, again } = of
  return (
    <>
      {error !== undefined && <Failure message={error.message} again={again} />}
      {answer === undefined ? error === undefined && <Waiting what={waiting} /> : children(answer)}
    </>
  )
}

export function Waiting({ what }: { what: string }) {
  return (
    <p class="waiting quiet" role="status">
      <span class="dots" aria-hidden="true" />
      Asking for {what}…
    </p>
  )
}

export function Failure({ message, again }: { message: string; again?: () => void }) {
  return (
    <div class="notice bad" role="alert">
      <p>{message}</p>
      {again !== undefined && (
        <button type="button" class="plain" onClick={again}>
          Ask again
        </button>
      )}
    </div>
  )
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  )
}

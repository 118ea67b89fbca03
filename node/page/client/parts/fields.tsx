/** A form: what is typed into it, what sends it, and what the node says of it. */
import type { ComponentChildren } from 'preact'
import { useId, useState } from 'preact/hooks'
import { ApiError } from '../api.ts'
import { Failure } from './states.tsx'

export interface FormProps {
  /** On the button that sends it. */
  action: string
  label?: string
  isGrave?: boolean
  /** Said while the node is at it, where that takes its time. */
  busy?: string
  children?: ComponentChildren
  /** Throws ApiError when the node refuses. */
  onSend(fields: FormData): Promise<void>
}

export function Form({ action, label, isGrave = false, busy, children, onSend }: FormProps) {
  const [refusal, setRefusal] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  const send = async (form: HTMLFormElement): Promise<void> => {
    setBusy(true)
    setRefusal(undefined)
    try {
      await onSend(new FormData(form))
      form.reset()
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      setRefusal(error.message)
    }
    setBusy(false)
  }
  return (
    <form
      class="form"
      aria-label={label}
      onSubmit={(event) => {
        event.preventDefault()
        void send(event.currentTarget)
      }}
    >
      {children}
      {refusal !== undefined && <Failure message={refusal} />}
      {isBusy && busy !== undefined && (
        <p class="waiting quiet" role="status">
          <span class="dots" aria-hidden="true" />
          {busy}
        </p>
      )}
      <button type="submit" class={isGrave ? 'grave' : 'main'} disabled={isBusy}>
        {action}
      </button>
    </form>
  )
}

export interface FieldProps {
  label: string
  name: string
  type?: 'text' | 'password' | 'number'
  autocomplete?: string
  hint?: string
  value?: string
  isOptional?: boolean
}

export function Field(props: FieldProps) {
  const { label, name, type = 'text', autocomplete = 'off', hint, value, isOptional = false } = props
  const id = useId()
  const about = hint === undefined ? undefined : `${id}-hint`
  const common = { id, name, autocomplete, maxLength: 1024, required: !isOptional, defaultValue: value }
  const isNumber = type === 'number'
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {type === 'password' ? (
        <input type="password" aria-describedby={about} {...common} />
      ) : (
        <input
          type="text"
          autocapitalize="none"
          spellcheck={false}
          inputMode={isNumber ? 'numeric' : 'text'}
          pattern={isNumber ? '[0-9]{1,5}' : undefined}
          aria-describedby={about}
          {...common}
        />
      )}
      {hint !== undefined && <span id={about}>{hint}</span>}
    </div>
  )
}

export interface TickProps {
  label: string
  name: string
  isOn: boolean
  onChange(isOn: boolean): void
}

export function Tick({ label, name, isOn, onChange }: TickProps) {
  return (
    <label class="tick">
      <input
        type="checkbox"
        name={name}
        checked={isOn}
        onChange={({ currentTarget }) => onChange(currentTarget.checked)}
      />
      {label}
    </label>
  )
}

export function textOf(fields: FormData, name: string): string {
  const value = fields.get(name)
  return typeof value === 'string' ? value : ''
}

/** Groups as one types them, with commas or blanks between. */
export function listOf(fields: FormData, name: string): string[] {
  return textOf(fields, name)
    .split(/[\s,]+/)
    .filter((item) => item !== '')
}

/** A field that narrows a list as one types. */
import { useEffect, useState } from 'preact/hooks'

const settleMs = 120

export function Filter({ label, onChange }: { label: string; onChange(typed: string): void }) {
  const [typed, setTyped] = useState('')
  useEffect(() => {
    const timer = setTimeout(() => onChange(typed), settleMs)
    return () => clearTimeout(timer)
  }, [typed])
  return (
    <label class="filter">
      <span>{label}</span>
      <input
        type="search"
        value={typed}
        maxLength={256}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
    </label>
  )
}

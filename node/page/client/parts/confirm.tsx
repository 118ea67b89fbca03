/** A question before something is changed, in a dialog: what it does, the way back first, and what the node says of it. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError } from '../api.ts'
import { Failure } from './states.tsx'

export interface ConfirmProps {
  title: string
  /** On the button that does it, such as `Delete the tag`. */
  action: string
  children: ComponentChildren
  /** Throws ApiError when the node refuses. */
  onConfirm(): Promise<void>
  onClose(): void
}

export function Confirm({ title, action, children, onConfirm, onClose }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [refusal, setRefusal] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  useEffect(() => {
    dialog.current?.showModal()
  }, [])
  const confirm = async (): Promise<void> => {
    setBusy(true)
    setRefusal(undefined)
    try {
      await onConfirm()
      onClose()
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      setRefusal(error.message)
      setBusy(false)
    }
  }
  return (
    <dialog ref={dialog} class="confirm" aria-labelledby="confirm-title" onClose={onClose}>
      <h2 id="confirm-title">{title}</h2>
      {children}
      {refusal !== undefined && <Failure message={refusal} />}
      <div class="buttons">
        <button type="button" class="plain" onClick={() => dialog.current?.close()}>
          Keep everything as it is
        </button>
        <button type="button" class="grave" disabled={isBusy} onClick={() => void confirm()}>
          {action}
        </button>
      </div>
    </dialog>
  )
}

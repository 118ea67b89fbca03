/** A dialog that something is done in, and left without doing it. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

export function Panel({
  title,
  children,
  onClose,
}: {
  title: string
  children: ComponentChildren
  onClose(): void
}) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    dialog.current?.showModal()
  }, [])
  return (
    <dialog ref={dialog} class="confirm" aria-labelledby="panel-title" onClose={onClose}>
      <h2 id="panel-title">{title}</h2>
      {children}
      <div class="buttons">
        <button type="button" class="plain" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  )
}

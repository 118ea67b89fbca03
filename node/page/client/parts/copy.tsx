/** Text that one takes along: a digest or a command, with a button that copies it. */
import { useState } from 'preact/hooks'
import { shortDigest } from '../format.ts'

export function Copyable({ text, label, shown = text }: { text: string; label: string; shown?: string }) {
  const [copied, setCopied] = useState<'no' | 'yes' | 'failed'>('no')
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text)
      setCopied('yes')
    } catch {
      // Browsers refuse it on addresses that are not loopback without TLS; the text can be selected all the same.
      setCopied('failed')
    }
  }
  const said = { no: 'Copy', yes: 'Copied', failed: 'Select it by hand' }[copied]
  return (
    <span class="copyable">
      <code title={text}>{shown}</code>
      <button type="button" class="plain small" aria-label={`${said}: ${label}`} onClick={() => void copy()}>
        {said}
      </button>
    </span>
  )
}

export function Digest({ digest }: { digest: string }) {
  return (
    <code class="digest" title={digest}>
      {shortDigest(digest)}
    </code>
  )
}

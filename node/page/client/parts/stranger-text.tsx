/** What strangers wrote into annotations and labels: shown as text, and as a link only where that is safe. */
import { safeLink } from '../safe-link.ts'

export function StrangerText({ text }: { text: string }) {
  const link = safeLink(text)
  if (link === undefined) return <span class="stranger">{text}</span>
  return (
    <a class="stranger" href={link} rel="noopener noreferrer nofollow" target="_blank">
      {text}
    </a>
  )
}

export function StrangerTable({ entries, caption }: { entries: Record<string, string>; caption: string }) {
  const rows = Object.entries(entries)
  if (rows.length === 0) return null
  return (
    <dl class="facts" aria-label={caption}>
      {rows.map(([name, text]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <StrangerText text={text} />
          </dd>
        </div>
      ))}
    </dl>
  )
}

/** What each member holds of an image: a bar, and what it lacks. */
import { formatBytes, formatCount } from '../format.ts'
import type { Presence } from '../presence.ts'
import { Member, nameOf } from './member.tsx'
import { Progress } from './progress.tsx'

const shown = 12

export function PresenceTable({ presences }: { presences: Presence[] }) {
  // Those that lack most come first: they are what one looks for.
  const sorted = presences.toSorted((a, b) => b.missing - a.missing)
  return (
    <>
      <ul class="presence">
        {sorted.slice(0, shown).map(({ peer, missing, missingBytes, all }) => (
          <li key={peer} class={missing === 0 ? 'whole' : 'part'}>
            <Member peer={peer} />
            <Progress
              part={all - missing}
              whole={all}
              label={`What ${nameOf.value(peer)} holds of the image`}
            />
            <span class="quiet">
              {missing === 0
                ? `all ${formatCount(all, 'part')}`
                : `lacks ${formatCount(missing, 'part')}, ${formatBytes(missingBytes)}`}
            </span>
          </li>
        ))}
      </ul>
      {sorted.length > shown && (
        <p class="quiet">{formatCount(sorted.length - shown, 'more member')}, each with more of it.</p>
      )}
    </>
  )
}

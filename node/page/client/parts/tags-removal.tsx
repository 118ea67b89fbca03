/** How several tags are deleted at once: asked for, said what it means, then done one after the other. */
import { useState } from 'preact/hooks'
import { ApiError, change } from '../api.ts'
import { formatCount, formatList } from '../format.ts'
import { Confirm } from './confirm.tsx'

/** Each is a request of its own. */
export const maxChosen = 100
const shownTags = 8

interface TagsRemovalProps {
  repository: string
  chosen: ReadonlySet<string>
  /** Those that are left, where some were refused. */
  onLeft(tags: ReadonlySet<string>): void
}

export function TagsRemoval({ repository, chosen, onLeft }: TagsRemovalProps) {
  const [isAsking, setAsking] = useState(false)
  const count = formatCount(chosen.size, 'tag')
  const remove = async (): Promise<void> => {
    const left = new Set(chosen)
    const refused: string[] = []
    for (const tag of chosen) {
      try {
        await change('/api/delete-tag', { repository, tag })
        left.delete(tag)
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        refused.push(`${tag}: ${error.message}`)
        // What keeps the page from the node keeps it from it for the others, too.
        if (error.code === 'UNREACHABLE') break
      }
    }
    onLeft(left)
    if (refused.length > 0)
      throw new ApiError(
        'REFUSED',
        `${formatCount(left.size, 'tag')} of ${chosen.size} stayed. ${refused[0]}`,
      )
  }
  return (
    <>
      <div class="tools">
        <button type="button" class="grave" onClick={() => setAsking(true)}>
          Delete {count}…
        </button>
        <button type="button" class="plain" onClick={() => onLeft(new Set())}>
          Choose none
        </button>
        {chosen.size >= maxChosen && <span class="quiet">{maxChosen} at a time are the most.</span>}
      </div>
      {isAsking && (
        <Confirm
          title={`Delete ${count} of ${repository}?`}
          action={`Delete ${count}`}
          onConfirm={remove}
          onClose={() => setAsking(false)}
        >
          <p>{formatList([...chosen], shownTags)}</p>
          <p>
            The names go on every member of the cluster, and pulls by them fail from then on. The images stay
            and can be pulled by their digests.
          </p>
        </Confirm>
      )}
    </>
  )
}

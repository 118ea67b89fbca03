/** How a tag is deleted: asked for, said what it means, then done. */
import { useState } from 'preact/hooks'
import type { ImageAnswer } from '../../answers/images.ts'
import { change } from '../api.ts'
import { formatList } from '../format.ts'
import { hrefOf } from '../route.ts'
import { Confirm } from './confirm.tsx'
import { Digest } from './copy.tsx'

export function TagRemoval({ image, tag }: { image: ImageAnswer; tag: string }) {
  const [isAsking, setAsking] = useState(false)
  const { repository, digest, tags, undeletable } = image
  const others = tags.filter((name) => name !== tag)
  const remove = async (): Promise<void> => {
    await change('/api/delete-tag', { repository, tag })
    location.hash = hrefOf({ view: 'repository', repository })
  }
  return (
    <section aria-labelledby="removal">
      <h2 id="removal">Delete the tag</h2>
      {undeletable === undefined ? (
        <button type="button" class="grave" onClick={() => setAsking(true)}>
          Delete {repository}:{tag}…
        </button>
      ) : (
        <p class="quiet">{undeletable}</p>
      )}
      {isAsking && (
        <Confirm
          title={`Delete ${repository}:${tag}?`}
          action="Delete the tag"
          onConfirm={remove}
          onClose={() => setAsking(false)}
        >
          <p>
            The name goes on every member of the cluster, and pulls by it fail from then on. The image{' '}
            <Digest digest={digest} />{' '}
            {others.length > 0 ? `stays as ${formatList(others)}.` : 'stays and can be pulled by its digest.'}
          </p>
        </Confirm>
      )}
    </section>
  )
}

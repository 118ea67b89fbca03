/** How this node's copy of an image is freed: asked for, said what it means, then done, as `shoal evict` does. */
import { useState } from 'preact/hooks'
import type { EvictedAnswer, ImageAnswer } from '../../answers/images.ts'
import { change } from '../api.ts'
import { formatBytes, formatCount, formatList } from '../format.ts'
import { Confirm } from './confirm.tsx'
import { nameOf } from './member.tsx'

export function Eviction({
  image: { repository, isEvictable },
  reference,
}: {
  image: ImageAnswer
  reference: string
}) {
  const [isAsking, setAsking] = useState(false)
  const [done, setDone] = useState<EvictedAnswer>()
  if (!isEvictable && done === undefined) return null
  return (
    <section aria-labelledby="eviction">
      <h2 id="eviction">This node’s copy</h2>
      {done === undefined ? (
        <button type="button" class="grave" onClick={() => setAsking(true)}>
          Free this node’s copy…
        </button>
      ) : (
        <p class="notice good" role="status">
          Freed {formatBytes(done.bytes)}, {formatCount(done.blobs, 'blob')}.{' '}
          {done.holders.length > 0 &&
            `${formatList(done.holders.map((peer) => nameOf.value(peer)))} still have all of it.`}
        </p>
      )}
      {isAsking && (
        <Confirm
          title="Free this node’s copy?"
          action="Free it"
          onConfirm={async () =>
            setDone(await change<EvictedAnswer>('/api/evict', { repository, reference }))
          }
          onClose={() => setAsking(false)}
        >
          <p>
            What other images here need stays. Its name and other members’ copies stay, and a pull here brings
            it again. It is refused where this is the only copy, and where a keep rule holds it.
          </p>
        </Confirm>
      )}
    </section>
  )
}

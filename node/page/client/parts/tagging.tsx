/** How an image is given another name, as `shoal tag` does. */
import { useState } from 'preact/hooks'
import type { ImageAnswer, TaggedAnswer } from '../../answers/images.ts'
import { change } from '../api.ts'
import { shortDigest } from '../format.ts'
import { hrefOf } from '../route.ts'
import { Field, Form, textOf } from './fields.tsx'
import { Panel } from './panel.tsx'

export function Tagging({ image, reference }: { image: ImageAnswer; reference: string }) {
  const [isOpen, setOpen] = useState(false)
  const [done, setDone] = useState<TaggedAnswer>()
  const { repository, untaggable } = image
  const send = async (fields: FormData): Promise<void> => {
    const to = { toRepository: textOf(fields, 'repository'), toTag: textOf(fields, 'tag') }
    setDone(await change<TaggedAnswer>('/api/tag', { repository, reference, ...to }))
    setOpen(false)
  }
  return (
    <section aria-labelledby="tagging">
      <h2 id="tagging">Another name</h2>
      {done !== undefined && <Tagged done={done} />}
      {untaggable === undefined ? (
        <button type="button" class="main" onClick={() => setOpen(true)}>
          Tag it…
        </button>
      ) : (
        <p class="quiet">{untaggable}</p>
      )}
      {isOpen && (
        <Panel title="Tag it" onClose={() => setOpen(false)}>
          <Form action="Tag it" label="Tag it" onSend={send}>
            <p>
              A tag that is there already moves to this image, on every member. In another repository this
              node becomes the image’s first holder, and fetches what it lacks of it.
            </p>
            <Field label="Repository" name="repository" value={repository} />
            <Field label="Tag" name="tag" hint="such as stable" />
          </Form>
        </Panel>
      )}
    </section>
  )
}

function Tagged({ done: { repository, tag, before } }: { done: TaggedAnswer }) {
  return (
    <p class="notice good" role="status">
      <span>
        <a href={hrefOf({ view: 'image', repository, reference: tag })}>
          {repository}:{tag}
        </a>{' '}
        is this image{before === undefined ? '.' : `; it was ${shortDigest(before)} before.`}
      </span>
    </p>
  )
}

/** One image: whether it is everywhere, its layers and who holds them, how it was made, and what refers to it. */
import { useState } from 'preact/hooks'
import type { ImageAnswer } from '../../answers/images.ts'
import type { MemberFacts } from '../../answers/live.ts'
import { formatBytes, formatCount, formatList, shortDigest } from '../format.ts'
import { state } from '../live.ts'
import { Age } from '../parts/age.tsx'
import { Copyable } from '../parts/copy.tsx'
import { By, nameOf } from '../parts/member.tsx'
import { OwnCopy } from '../parts/own-copy.tsx'
import { Platform, Platforms } from '../parts/platform.tsx'
import { PresenceTable } from '../parts/presence-table.tsx'
import { Referrers } from '../parts/referrers.tsx'
import { Answered } from '../parts/states.tsx'
import { StrangerTable } from '../parts/stranger-text.tsx'
import { TagRemoval } from '../parts/tag-removal.tsx'
import { Tagging } from '../parts/tagging.tsx'
import { lostParts, presenceInWords, presenceOf } from '../presence.ts'
import { hrefOf } from '../route.ts'
import { me } from '../session.ts'
import { useAnswer } from '../use-answer.ts'

export function ImageView({ repository, reference }: { repository: string; reference: string }) {
  const query = new URLSearchParams({ repository, reference })
  const image = useAnswer<ImageAnswer>(`/api/image?${query}`)
  // Asking every member takes a moment, so what is known here is shown before.
  const asked = useAnswer<ImageAnswer>(`/api/image?${query}&holders=1`)
  const known = asked.answer ?? image.answer
  const separator = reference.includes(':') ? '@' : ':'
  return (
    <>
      <p class="trail">
        <a href={hrefOf({ view: 'repositories' })}>Images</a>
        <a href={hrefOf({ view: 'repository', repository })}>{repository}</a>
      </p>
      <h1>
        {repository}
        <span class="quiet">{separator}</span>
        {reference.includes(':') ? shortDigest(reference) : reference}
      </h1>
      <Answered of={known === undefined ? image : { ...image, answer: known }} waiting="the image">
        {(answer) => (
          <Image
            image={answer}
            reference={reference}
            again={() => {
              image.again()
              asked.again()
            }}
          />
        )}
      </Answered>
    </>
  )
}

function Image({ image, reference, again }: { image: ImageAnswer; reference: string; again(): void }) {
  const { repository, digest, tag, tags, totalBytes, platforms, annotations } = image
  const [chosen, setChosen] = useState(platforms[0]?.digest)
  const platform = platforms.find((candidate) => candidate.digest === chosen) ?? platforms[0]
  const others = tags.filter((name) => name !== tag?.name)
  const pull = `docker pull ${state.value?.http ?? 'localhost:5000'}/${repository}${reference.includes(':') ? '@' : ':'}${reference}`
  return (
    <>
      <Everywhere image={image} />
      <dl class="facts wide">
        <div>
          <dt>Size</dt>
          <dd>{formatBytes(totalBytes)}</dd>
        </div>
        {tag !== undefined && (
          <div>
            <dt>Pushed</dt>
            <dd>
              <Age atMs={tag.writtenMs} />
              <By author={tag.author} word="on" />
            </dd>
          </div>
        )}
        <div>
          <dt>Digest</dt>
          <dd>
            <Copyable text={digest} label="the digest" shown={shortDigest(digest)} />
          </dd>
        </div>
        {others.length > 0 && (
          <div>
            <dt>Also tagged</dt>
            <dd>{formatList(others, 6)}</dd>
          </div>
        )}
        <div>
          <dt>Type</dt>
          <dd>{image.mediaType}</dd>
        </div>
        <div>
          <dt>Pull it</dt>
          <dd>
            <Copyable text={pull} label="the command" />
          </dd>
        </div>
      </dl>
      {platforms.length > 1 && <Platforms platforms={platforms} chosen={platform} onChoose={setChosen} />}
      {image.omittedPlatforms > 0 && (
        <p class="quiet">
          {formatCount(image.omittedPlatforms, 'more platform is', 'more platforms are')} not shown.
        </p>
      )}
      {platform !== undefined && <Platform platform={platform} isAsked={image.holders !== undefined} />}
      <Referrers image={image} />
      {Object.keys(annotations).length > 0 && (
        <section aria-labelledby="annotations">
          <h2 id="annotations">Annotations</h2>
          <StrangerTable entries={annotations} caption="Annotations" />
        </section>
      )}
      <OwnCopy image={image} reference={reference} onChanged={again} />
      <Tagging image={image} reference={reference} />
      {tag !== undefined && <TagRemoval image={image} tag={tag.name} />}
    </>
  )
}

/** The answer to the question that one comes with. */
function Everywhere({ image }: { image: ImageAnswer }) {
  const members: MemberFacts[] = state.value?.members ?? []
  const presences = presenceOf(image, members)
  // Who reads some images alone is told of no member.
  const isTold = me.value?.sees === 'everything'
  if (image.holders === undefined || (isTold && members.length === 0)) {
    return (
      <p class="lead quiet" role="status">
        Asking the members what they hold…
      </p>
    )
  }
  const lost = lostParts(image)
  return (
    <section aria-labelledby={isTold ? 'everywhere' : undefined}>
      {isTold && presences !== undefined && (
        <p id="everywhere" class="lead">
          {presenceInWords(presences, nameOf.value)}
        </p>
      )}
      {lost.length > 0 && (
        <p class="notice bad">
          No connected member holds {lost.length === 1 ? 'the blob' : 'the blobs'}{' '}
          {formatList(lost.map((blob) => shortDigest(blob.digest)))}: it cannot be pulled whole.
        </p>
      )}
      {image.short !== undefined && (
        <p class="notice warn">
          It is short of copies: {formatCount(image.short.held, 'member holds', 'members hold')} it, and{' '}
          {image.short.wanted} are to. The node brings them by itself.
        </p>
      )}
      {presences !== undefined && presences.length > 1 && <PresenceTable presences={presences} />}
    </section>
  )
}

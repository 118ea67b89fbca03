/** One image: whether it is everywhere, its layers and who holds them, how it was made, and what refers to it. */
import { useState } from 'preact/hooks'
import type { ImageAnswer, MemberFacts, PlatformFacts } from '../../answers.ts'
import { change } from '../api.ts'
import { formatBytes, formatCount, formatList, formatTime, shortDigest } from '../format.ts'
import { state } from '../live.ts'
import { Age } from '../parts/age.tsx'
import { Confirm } from '../parts/confirm.tsx'
import { Copyable, Digest } from '../parts/copy.tsx'
import { Layers } from '../parts/layers.tsx'
import { Member, nameOf } from '../parts/member.tsx'
import { PresenceTable } from '../parts/presence-table.tsx'
import { Answered } from '../parts/states.tsx'
import { StrangerTable, StrangerText } from '../parts/stranger-text.tsx'
import { lostParts, presenceInWords, presenceOf } from '../presence.ts'
import { hrefOf } from '../route.ts'
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
        {(answer) => <Image image={answer} reference={reference} />}
      </Answered>
    </>
  )
}

function Image({ image, reference }: { image: ImageAnswer; reference: string }) {
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
              <Age atMs={tag.writtenMs} /> on <Member peer={tag.author} />
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
      {tag !== undefined && <Removal image={image} tag={tag.name} />}
    </>
  )
}

/** The answer to the question that one comes with. */
function Everywhere({ image }: { image: ImageAnswer }) {
  const members: MemberFacts[] = state.value?.members ?? []
  const presences = presenceOf(image, members)
  if (presences === undefined) {
    return (
      <p class="lead quiet" role="status">
        Asking the members what they hold…
      </p>
    )
  }
  const lost = lostParts(image)
  return (
    <section aria-labelledby="everywhere">
      <p id="everywhere" class="lead">
        {presenceInWords(presences, nameOf.value)}
      </p>
      {lost.length > 0 && (
        <p class="notice bad">
          No connected member holds {lost.length === 1 ? 'the blob' : 'the blobs'}{' '}
          {formatList(lost.map((blob) => shortDigest(blob.digest)))}: it cannot be pulled whole.
        </p>
      )}
      {presences.length > 1 && <PresenceTable presences={presences} />}
    </section>
  )
}

function Platforms({
  platforms,
  chosen,
  onChoose,
}: {
  platforms: PlatformFacts[]
  chosen: PlatformFacts | undefined
  onChoose(digest: string): void
}) {
  return (
    <fieldset class="choice">
      <legend>Platform</legend>
      {platforms.map(({ digest, platform }) => (
        <label key={digest}>
          <input
            type="radio"
            name="platform"
            checked={digest === chosen?.digest}
            onChange={() => onChoose(digest)}
          />
          {platform ?? shortDigest(digest)}
        </label>
      ))}
    </fieldset>
  )
}

function Platform({ platform, isAsked }: { platform: PlatformFacts; isAsked: boolean }) {
  const { content } = platform
  if (content === undefined) {
    return <p class="notice warn">No member that can be reached holds the manifest of this platform.</p>
  }
  const { image, layers } = content
  return (
    <>
      <section aria-labelledby="layers">
        <h2 id="layers">Layers</h2>
        <Layers layers={layers} isAsked={isAsked} />
      </section>
      {image !== undefined && (
        <section aria-labelledby="made">
          <h2 id="made">How it runs</h2>
          <dl class="facts wide">
            <Fact name="Platform" text={platform.platform} />
            <Fact name="Made" text={madeAt(image.created)} />
            <Fact name="Author" text={image.author} />
            <Fact name="Entry point" text={image.entrypoint.join(' ')} code />
            <Fact name="Command" text={image.command.join(' ')} code />
            <Fact name="User" text={image.user} code />
            <Fact name="Folder" text={image.workingDir} code />
            <Fact name="Ports" text={image.ports.join(', ')} />
            <Fact name="Volumes" text={image.volumes.join(', ')} code />
            <Fact name="Environment" text={image.environment.join(', ')} code />
          </dl>
          {Object.keys(image.labels).length > 0 && <h3>Labels</h3>}
          <StrangerTable entries={image.labels} caption="Labels" />
        </section>
      )}
    </>
  )
}

function Fact({ name, text, code = false }: { name: string; text: string | undefined; code?: boolean }) {
  if (text === undefined || text === '') return null
  return (
    <div>
      <dt>{name}</dt>
      <dd>{code ? <code>{text}</code> : <StrangerText text={text} />}</dd>
    </div>
  )
}

/** Builds that can be repeated say that they were made at the beginning of time. */
function madeAt(created: string | undefined): string | undefined {
  const ms = created === undefined ? Number.NaN : Date.parse(created)
  return Number.isNaN(ms) || ms <= 0 ? undefined : formatTime(ms)
}

function Referrers({ image }: { image: ImageAnswer }) {
  const { referrers, repository } = image
  return (
    <section aria-labelledby="referrers">
      <h2 id="referrers">What refers to it</h2>
      {referrers.length === 0 ? (
        <p class="quiet">No signature, SBOM or other artifact refers to this image.</p>
      ) : (
        <ul class="lines">
          {referrers.map((referrer) => (
            <li key={referrer.digest} class="referrer">
              <span>
                <a href={hrefOf({ view: 'image', repository, reference: referrer.digest })}>
                  {kindOf(referrer.artifactType ?? referrer.mediaType)}
                </a>{' '}
                <Digest digest={referrer.digest} />
              </span>
              <span class="quiet">
                <Age atMs={referrer.writtenMs} /> by <Member peer={referrer.author} />
              </span>
              <StrangerTable
                entries={referrer.annotations}
                caption={`Annotations of ${shortDigest(referrer.digest)}`}
              />
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

/** The usual types by their usual names; the others as they are. */
function kindOf(type: string): string {
  if (/cosign|sigstore|notary|signature/i.test(type)) return `Signature (${type})`
  if (/spdx|cyclonedx|sbom/i.test(type)) return `SBOM (${type})`
  if (/in-toto|attestation/i.test(type)) return `Attestation (${type})`
  return type
}

function Removal({ image, tag }: { image: ImageAnswer; tag: string }) {
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

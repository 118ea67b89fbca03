/** The platforms of an image: which one is looked at, its layers, and how it runs. */
import type { PlatformFacts } from '../../answers/images.ts'
import { formatTime, shortDigest } from '../format.ts'
import { Layers } from './layers.tsx'
import { StrangerTable, StrangerText } from './stranger-text.tsx'

export function Platforms({
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

export function Platform({ platform, isAsked }: { platform: PlatformFacts; isAsked: boolean }) {
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

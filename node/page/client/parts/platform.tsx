/** The platforms of an image: which one is looked at, its layers, and how it runs. */
import type { ConfigFacts, PlatformFacts } from '../../answers/images.ts'
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
      {image !== undefined && <Made image={image} of={platform.platform} />}
    </>
  )
}

/** Of an artifact nothing: its config says nothing. */
function Made({ image, of }: { image: ConfigFacts; of: string | undefined }) {
  const facts: [name: string, text: string | undefined, isCode?: boolean][] = [
    ['Platform', of],
    ['Made', madeAt(image.created)],
    ['Author', image.author],
    ['Entry point', image.entrypoint.join(' '), true],
    ['Command', image.command.join(' '), true],
    ['User', image.user, true],
    ['Folder', image.workingDir, true],
    ['Ports', image.ports.join(', ')],
    ['Volumes', image.volumes.join(', '), true],
    ['Environment', image.environment.join(', '), true],
  ]
  const said = facts.filter(([, text]) => text !== undefined && text !== '')
  const hasLabels = Object.keys(image.labels).length > 0
  if (said.length === 0 && !hasLabels) return null
  return (
    <section aria-labelledby="made">
      <h2 id="made">How it runs</h2>
      <dl class="facts wide">
        {said.map(([name, text = '', isCode]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{isCode ? <code>{text}</code> : <StrangerText text={text} />}</dd>
          </div>
        ))}
      </dl>
      {hasLabels && <h3>Labels</h3>}
      <StrangerTable entries={image.labels} caption="Labels" />
    </section>
  )
}

/** Builds that can be repeated say that they were made at the beginning of time. */
function madeAt(created: string | undefined): string | undefined {
  const ms = created === undefined ? Number.NaN : Date.parse(created)
  return Number.isNaN(ms) || ms <= 0 ? undefined : formatTime(ms)
}

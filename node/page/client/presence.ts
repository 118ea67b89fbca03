/** Whether an image is on every member, and what each one lacks: answered from who holds which of its blobs. */
import type { BlobFacts, ImageAnswer } from '../answers/images.ts'
import type { MemberFacts } from '../answers/live.ts'
import { formatBytes, formatCount, formatList } from './format.ts'
import type { NameOf } from './member-names.ts'

export interface Presence {
  peer: string
  /** Blobs of it that the member lacks: layers, configs and manifests. */
  missing: number
  missingBytes: number
  all: number
  /** Of an image of several: those that it holds whole, and with it the image’s own manifest. */
  platforms: string[]
}

/** `undefined` until members were asked, or where it is not told which they are. What the image shares within itself counts once. */
export function presenceOf(image: ImageAnswer, members: readonly MemberFacts[]): Presence[] | undefined {
  if (!Array.isArray(image.holders)) return undefined
  const [root, ...others] = partsOf(image)
  const blobs = [root, ...others]
  return members.map(({ peer, isSelf }) => {
    const isMissing = ({ isHere, holders }: BlobFacts) =>
      !(isSelf ? isHere : Array.isArray(holders) && holders.includes(peer))
    const missing = blobs.filter(isMissing)
    return {
      peer,
      missing: missing.length,
      missingBytes: missing.reduce((sum, { bytes }) => sum + bytes, 0),
      all: blobs.length,
      platforms: isMissing(root) ? [] : platformsOn(image, (blob) => !isMissing(blob)),
    }
  })
}

/** The answer to "is this image everywhere?". */
export function presenceInWords(presences: readonly Presence[], nameOf: NameOf): string {
  const whole = presences.filter(({ missing }) => missing === 0)
  const some = presences.filter(({ missing, platforms }) => missing > 0 && platforms.length > 0)
  const parts = presences.filter(({ missing, platforms }) => missing > 0 && platforms.length === 0)
  const [alone] = presences
  if (presences.length === 1 && alone !== undefined) {
    return alone.missing === 0
      ? 'This node holds all of it. It is the only member, so there is no second copy.'
      : 'This node does not hold all of it, and no other member is connected.'
  }
  if (whole.length === presences.length) return `All ${presences.length} members hold all of it.`
  if (whole.length === 0 && some.length === 0) return 'No member holds all of it.'
  // A platform that nobody pulled there is not amiss.
  if (some.length > 0)
    return `${[...wholeInWords(whole, nameOf), ...somePlatforms(some, nameOf), ...lackInWords(parts)].join('; ')}.`
  const names = formatList(whole.map(({ peer }) => nameOf(peer)))
  const [only] = parts
  const lacking =
    parts.length === 1 && only !== undefined
      ? `${nameOf(only.peer)} lacks ${formatBytes(only.missingBytes)} of it`
      : `${formatCount(parts.length, 'member')} lack some of it`
  const hold = whole.length === 1 ? `Only ${names} holds all of it` : `${names} hold all of it`
  return `${hold}; ${lacking}.`
}

function wholeInWords(whole: readonly Presence[], nameOf: NameOf): string[] {
  if (whole.length === 0) return ['No member holds all of it']
  return [
    `${formatList(whole.map(({ peer }) => nameOf(peer)))} ${whole.length === 1 ? 'holds' : 'hold'} all of it`,
  ]
}

function somePlatforms(some: readonly Presence[], nameOf: NameOf): string[] {
  const alike = Map.groupBy(some, ({ platforms }) => formatList(platforms))
  return [...alike].map(
    ([platforms, members]) =>
      `${formatList(members.map(({ peer }) => nameOf(peer)))} ${members.length === 1 ? 'holds' : 'hold'} ${platforms} of it, and no other platform`,
  )
}

function lackInWords(parts: readonly Presence[]): string[] {
  return parts.length === 0 ? [] : [`${formatCount(parts.length, 'member lacks', 'members lack')} some of it`]
}

function platformsOn({ platforms }: ImageAnswer, holds: (blob: BlobFacts) => boolean): string[] {
  if (platforms.length < 2) return []
  return platforms.flatMap(({ platform, content }) => {
    if (content === undefined || platform === undefined) return []
    return [content.config, ...content.layers].every(holds) ? [platform] : []
  })
}

/** What of it is not on this node; `undefined` where a manifest that would tell is nowhere to be had. */
export function lackingHere(image: ImageAnswer): { parts: number; bytes: number } | undefined {
  if (image.platforms.some(({ content }) => content === undefined)) return undefined
  const lacking = partsOf(image).filter(({ isHere }) => !isHere)
  return { parts: lacking.length, bytes: lacking.reduce((sum, { bytes }) => sum + bytes, 0) }
}

/** What no connected member holds cannot be pulled. */
export function lostParts(image: ImageAnswer): BlobFacts[] {
  if (image.holders === undefined) return []
  return partsOf(image).filter((blob) => copiesOf(blob) === 0)
}

/** How many members hold it, this node among them. */
export function copiesOf({ isHere, holders = 0 }: BlobFacts): number {
  return Number(isHere) + (Array.isArray(holders) ? holders.length : holders)
}

/** The manifest counts as a part, the first: without it, the layers are of no use. */
function partsOf(image: ImageAnswer): [BlobFacts, ...BlobFacts[]] {
  const { digest, mediaType, isHere, holders = [] } = image
  const parts = new Map<string, BlobFacts>()
  for (const { content } of image.platforms) {
    if (content === undefined) continue
    for (const blob of [content.config, ...content.layers]) parts.set(blob.digest, blob)
  }
  return [{ digest, mediaType, bytes: 0, isHere, holders }, ...parts.values()]
}

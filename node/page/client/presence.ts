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
}

/** `undefined` until members were asked. What the image shares within itself counts once. */
export function presenceOf(image: ImageAnswer, members: readonly MemberFacts[]): Presence[] | undefined {
  if (image.holders === undefined) return undefined
  const blobs = partsOf(image)
  return members.map(({ peer, isSelf }) => {
    const missing = blobs.filter(({ isHere, holders = [] }) => !(isSelf ? isHere : holders.includes(peer)))
    return {
      peer,
      missing: missing.length,
      missingBytes: missing.reduce((sum, { bytes }) => sum + bytes, 0),
      all: blobs.length,
    }
  })
}

/** The answer to "is this image everywhere?". */
export function presenceInWords(presences: readonly Presence[], nameOf: NameOf): string {
  const whole = presences.filter(({ missing }) => missing === 0)
  const parts = presences.filter(({ missing }) => missing > 0)
  const [alone] = presences
  if (presences.length === 1 && alone !== undefined) {
    return alone.missing === 0
      ? 'This node holds all of it. It is the only member, so there is no second copy.'
      : 'This node does not hold all of it, and no other member is connected.'
  }
  if (parts.length === 0) return `All ${presences.length} members hold all of it.`
  if (whole.length === 0) return 'No member holds all of it.'
  const names = formatList(whole.map(({ peer }) => nameOf(peer)))
  const [only] = parts
  const lacking =
    parts.length === 1 && only !== undefined
      ? `${nameOf(only.peer)} lacks ${formatBytes(only.missingBytes)} of it`
      : `${formatCount(parts.length, 'member')} lack some of it`
  const hold = whole.length === 1 ? `Only ${names} holds all of it` : `${names} hold all of it`
  return `${hold}; ${lacking}.`
}

/** What no connected member holds cannot be pulled. */
export function lostParts(image: ImageAnswer): BlobFacts[] {
  if (image.holders === undefined) return []
  return partsOf(image).filter(({ isHere, holders = [] }) => !isHere && holders.length === 0)
}

/** The manifest counts as a part: without it, the layers are of no use. */
function partsOf(image: ImageAnswer): BlobFacts[] {
  const { digest, mediaType, isHere, holders = [] } = image
  const parts = new Map<string, BlobFacts>([[digest, { digest, mediaType, bytes: 0, isHere, holders }]])
  for (const { content } of image.platforms) {
    if (content === undefined) continue
    for (const blob of [content.config, ...content.layers]) parts.set(blob.digest, blob)
  }
  return [...parts.values()]
}

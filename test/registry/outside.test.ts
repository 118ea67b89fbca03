import { expect, it } from 'vitest'
import { type Digest, digestBytes, parseRepository, parseTag, type Tag } from '../../src/oci/oci.ts'
import type { ManifestEntry, TagEntry } from '../../src/records/records.ts'
import { createOutside } from '../../src/registry/outside.ts'
import type { Collaborators } from '../../src/registry/registry.ts'

const repository = parseRepository('docker.io/library/app')
const image = digestBytes(Buffer.from('an image'))
const signature = digestBytes(Buffer.from('a signature'))

/** A mirrored repository with these tags, in which the signature refers to the image. */
function outsideOf(tags: Record<string, Pick<TagEntry, 'digest' | 'checkedMs'>>) {
  const names = {
    tagsOf: async (_: unknown, digest: Digest) =>
      Object.keys(tags)
        .filter((tag) => tags[tag]?.digest === digest)
        .map(parseTag),
    findTag: async (_: unknown, tag: Tag) => tags[tag] as TagEntry | undefined,
    findManifest: async (_: unknown, digest: Digest) =>
      ({ digest, ...(digest === signature ? { subject: image } : {}) }) as ManifestEntry,
  }
  const own = { isMirrored: async () => true }
  const mirror = { reaches: () => true }
  return createOutside({ names, own, mirror } as unknown as Collaborators)
}

it('brings again what an upstream was asked for, by tag or by digest, and not what bears a pushed tag', async () => {
  const mirrored = outsideOf({ '1': { digest: image, checkedMs: 1 } })
  expect(await mirrored.canBringAgain(repository, image)).toBe(true)
  expect(await outsideOf({}).canBringAgain(repository, image)).toBe(true)
  const both = outsideOf({ '1': { digest: image, checkedMs: 1 }, mine: { digest: image } })
  expect(await both.canBringAgain(repository, image)).toBe(false)
})

it('does not take what refers to a mirrored image, and has no tag, for its upstream’s: it may have been pushed', async () => {
  const outside = outsideOf({ '1': { digest: image, checkedMs: 1 } })
  expect(await outside.canBringAgain(repository, signature)).toBe(false)
  const tagged = outsideOf({ 'sha256-1.sig': { digest: signature, checkedMs: 1 } })
  expect(await tagged.canBringAgain(repository, signature)).toBe(true)
})

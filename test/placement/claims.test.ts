import { expect, it } from 'vitest'
import { type Digest, digestBytes, mediaTypes, parseTag, type Tag } from '../../src/oci/oci.ts'
import { Claims } from '../../src/placement/claims.ts'
import type { ManifestEntry, TagEntry } from '../../src/records/records.ts'
import { repository } from './world.ts'

const digestOf = (name: string): Digest => digestBytes(Buffer.from(name))
const child = digestOf('child')

/** Indexes that list the child, each with a tag of its name. */
function claimsOf(indexes: string[]): Claims {
  const entry = (digest: Digest) =>
    ({ digest, mediaType: mediaTypes.ociIndex, size: 1, writtenMs: 1, author: 'alice' }) as TagEntry
  return new Claims({
    names: {
      tagsOf: async (_, digest) => indexes.filter((name) => digestOf(name) === digest).map(parseTag),
      findTag: async (_, tag: Tag) => (indexes.includes(tag) ? entry(digestOf(tag)) : undefined),
      findManifest: async (_, digest) => entry(digest) as ManifestEntry,
    },
    policy: () => ({}),
    parentsOf: async function* (_, digest) {
      if (digest === child) yield* indexes.map(digestOf)
    },
  })
}

it('finds each image that a manifest belongs to, as each has owners of its own', async () => {
  const all = await claimsOf(['v1', 'v2']).all({ repository, digest: child })
  expect(all.map(({ key }) => key)).toEqual([digestOf('v1'), digestOf('v2')])
  expect(all.map(({ image }) => image.digest)).toEqual([child, child])
  expect(await claimsOf(['v1', 'v2']).of({ repository, digest: child })).toEqual(all[0])
  expect(await claimsOf([]).of({ repository, digest: child })).toBeUndefined()
})

it('says nothing of a manifest that belongs to more images than are looked at', async () => {
  const many = Array.from({ length: 40 }, (_, at) => `v${at}`)
  expect(await claimsOf(many).all({ repository, digest: child })).toEqual([])
})

it('finds the owners of each home that the tags of an image name, as whoever writes one more takes none from the others', async () => {
  const homes = Array.from({ length: 20 }, (_, at) => digestOf(`home ${at}`))
  const withTags = (count: number): Claims => {
    const tags = Array.from({ length: count }, (_, at) => parseTag(`v${at}`))
    const facts = { digest: child, mediaType: mediaTypes.ociManifest, size: 1, writtenMs: 1, author: 'alice' }
    return new Claims({
      names: {
        tagsOf: async (_, digest) => (digest === child ? tags : []),
        findTag: async (_, tag: Tag) => {
          const home = homes[tags.indexOf(tag)]
          return { ...facts, ...(home === undefined ? {} : { home }) } as TagEntry
        },
        findManifest: async () => facts as ManifestEntry,
      },
      policy: () => ({}),
      parentsOf: async function* () {
        yield* []
      },
    })
  }
  const all = await withTags(3).all({ repository, digest: child })
  expect(all.map(({ key }) => key)).toEqual(homes.slice(0, 3))
  expect((await withTags(3).of({ repository, digest: child }))?.key).toBe(homes[0])
  expect(await withTags(20).all({ repository, digest: child })).toEqual([])
})

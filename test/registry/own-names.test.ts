import { expect, it } from 'vitest'
import { type Digest, digestBytes, parseRepository, parseTag, type Tag } from '../../src/oci/oci.ts'
import type { TagEntry } from '../../src/records/records.ts'
import { OwnNames } from '../../src/registry/own-names.ts'

const repository = parseRepository('acme.io/team/app')
const digest = digestBytes(Buffer.from('a manifest'))

function scene() {
  const tags = new Map<Tag, Pick<TagEntry, 'digest' | 'checkedMs'>>()
  const looks = { count: 0 }
  const own = new OwnNames({
    names: {
      hasPushedTag: async () => {
        looks.count++
        return [...tags.values()].some(({ checkedMs }) => checkedMs === undefined)
      },
      hasRepository: async () => true,
      findTag: async (_, tag) => tags.get(tag) as TagEntry | undefined,
      tagsOf: async (_, of: Digest) =>
        [...tags].filter(([, entry]) => entry.digest === of).map(([tag]) => tag),
    },
    mirror: { wordFor: () => 'claim' },
    clock: { now: () => 0, sleep: async () => undefined },
  })
  const write = (name: string, entry: { checkedMs?: number } | undefined): void => {
    const tag = parseTag(name)
    if (entry === undefined) tags.delete(tag)
    else tags.set(tag, { digest, ...entry })
    own.learn([{ kind: 'tag', repository, tag, deleted: entry === undefined }])
  }
  return { own, looks, write, tags }
}

it('looks at all tags of a mirrored repository once, however often they are fetched anew', async () => {
  const { own, looks, write } = scene()
  write('1', { checkedMs: 1 })
  expect(await own.isOwn(repository)).toBe(false)
  for (let times = 0; times < 1000; times++) {
    write(`${times % 10}`, { checkedMs: times })
    own.learn([{ kind: 'manifest', repository, digest, deleted: false }])
    if (times % 100 === 0) expect(await own.isOwn(repository)).toBe(false)
  }
  expect(await own.isOwn(repository)).toBe(false)
  expect(looks.count).toBe(1)
})

it('knows of a push as soon as there is a tag of it, and of its end', async () => {
  const { own, looks, write, tags } = scene()
  write('mirrored', { checkedMs: 1 })
  expect(await own.isOwn(repository)).toBe(false)
  write('pushed', {})
  expect(await own.isOwn(repository)).toBe(true)
  write('mirrored', { checkedMs: 2 })
  expect(await own.isOwn(repository)).toBe(true)
  write('pushed', { checkedMs: 3 })
  expect(await own.isOwn(repository)).toBe(false)
  write('pushed', {})
  write('pushed', undefined)
  expect(await own.isOwn(repository)).toBe(false)
  // A tag whose manifest comes later.
  tags.set(parseTag('late'), { digest })
  own.learn([{ kind: 'manifest', repository, digest, deleted: false }])
  expect(await own.isOwn(repository)).toBe(true)
  expect(looks.count).toBeLessThan(5)
})

import { expect, it } from 'vitest'
import { digestBytes, parseTag, siblingOf, siblingTags } from '../../src/oci/oci.ts'

const bytes = Buffer.from('an image')

it('are those by which cosign and the distribution-spec name what belongs to a manifest', () => {
  const digest = digestBytes(bytes)
  const base = digest.replace(':', '-')
  expect(siblingTags(digest)).toEqual([base, `${base}.sig`, `${base}.att`, `${base}.sbom`])
  for (const tag of siblingTags(digest)) expect(siblingOf(tag)).toBe(digest)
})

it('fit into a tag for longer digests, too, and then say not of which', () => {
  for (const tag of siblingTags(digestBytes(bytes, 'sha512'))) {
    expect(tag).toMatch(/^sha512-[0-9a-f]{64}(\.[a-z]+)?$/)
    expect(siblingOf(tag)).toBeUndefined()
  }
})

it.each(['latest', 'sha256-abc.sig', `sha256-${'a'.repeat(64)}.other`, `sha256-${'A'.repeat(64)}`])(
  '%s is none',
  (tag) => {
    expect(siblingOf(parseTag(tag))).toBeUndefined()
  },
)

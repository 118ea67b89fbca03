import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { digestBytes, mayBeMissing, mediaTypes, parseManifest } from '../../src/oci/oci.ts'

const digest = digestBytes(Buffer.from('x'))
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: 1 }
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 1 }
const image = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] }
const index = {
  schemaVersion: 2,
  mediaType: mediaTypes.ociIndex,
  manifests: [{ ...layer, mediaType: mediaTypes.ociManifest }],
}

const parse = (value: unknown, contentType?: string) =>
  parseManifest(Buffer.from(JSON.stringify(value)), contentType)
const refused = expect.objectContaining({ code: 'MANIFEST_INVALID' })

describe('parseManifest', () => {
  it('finds the blobs of an image and the manifests of an index', () => {
    expect(parse(image, mediaTypes.ociManifest)).toMatchObject({
      kind: 'image',
      blobs: [config, layer],
      manifests: [],
    })
    expect(parse(index, mediaTypes.ociIndex)).toMatchObject({
      kind: 'index',
      blobs: [],
      manifests: index.manifests,
    })
  })

  it('takes the media type from the document when there is no Content-Type, and without its parameters', () => {
    expect(parse(image).mediaType).toBe(mediaTypes.ociManifest)
    expect(parse(image, `${mediaTypes.ociManifest}; charset=utf-8`).mediaType).toBe(mediaTypes.ociManifest)
  })

  it('takes an OCI manifest that does not name its own type', () => {
    const { mediaType: _, ...silent } = image
    expect(parse(silent, mediaTypes.ociManifest).kind).toBe('image')
    expect(() => parse(silent)).toThrow(refused)
  })

  it('falls back from artifactType to the media type of the config', () => {
    const subject = { ...layer, mediaType: mediaTypes.ociManifest }
    expect(parse({ ...image, subject }).artifactType).toBe(config.mediaType)
    expect(parse({ ...image, subject, artifactType: 'a/b', annotations: { k: 'v' } })).toMatchObject({
      artifactType: 'a/b',
      subject: digest,
      annotations: { k: 'v' },
    })
  })

  it('keeps manifests of types that it does not know, and their subject', () => {
    expect(parse({ subject: layer, any: 1 }, 'application/vnd.example+json')).toMatchObject({
      kind: 'opaque',
      subject: digest,
    })
    expect(parseManifest(Buffer.from([0, 1, 2]), 'application/octet-stream')).toMatchObject({
      kind: 'opaque',
    })
  })

  it.each([
    ['both manifests and layers', { ...image, manifests: [] }, mediaTypes.ociManifest],
    [
      'both manifests and layers, of an unknown type',
      { manifests: [], layers: [] },
      'application/vnd.example+json',
    ],
    ['another mediaType than the Content-Type', image, mediaTypes.dockerManifest],
    ['an index in the clothes of an image', { ...index, mediaType: undefined }, mediaTypes.ociManifest],
    ['layers in an index', { ...index, layers: [] }, mediaTypes.ociIndex],
    ['no config', { ...image, config: undefined }, mediaTypes.ociManifest],
    ['a layer that is no object', { ...image, layers: ['x'] }, mediaTypes.ociManifest],
    [
      'a malformed digest',
      { ...image, layers: [{ ...layer, digest: 'sha256:abc' }] },
      mediaTypes.ociManifest,
    ],
    ['a negative size', { ...image, layers: [{ ...layer, size: -1 }] }, mediaTypes.ociManifest],
    [
      'a size that is no whole number',
      { ...image, layers: [{ ...layer, size: 1e300 }] },
      mediaTypes.ociManifest,
    ],
    [
      'a descriptor without a media type',
      { ...image, layers: [{ digest, size: 1 }] },
      mediaTypes.ociManifest,
    ],
    ['too many layers', { ...image, layers: Array(4097).fill(layer) }, mediaTypes.ociManifest],
    ['a list for a document', [], mediaTypes.ociManifest],
    ['no schemaVersion', { ...image, schemaVersion: undefined }, mediaTypes.ociManifest],
    [
      'annotations that are not texts',
      { ...image, subject: layer, annotations: { a: 1 } },
      mediaTypes.ociManifest,
    ],
    [
      'annotations beyond what a record holds',
      { ...image, subject: layer, annotations: { a: 'x'.repeat(40_000) } },
      mediaTypes.ociManifest,
    ],
    ['a Content-Type that is none', image, 'nonsense'],
  ])('refuses %s', (_what, document, contentType) => {
    expect(() => parse(document, contentType)).toThrow(refused)
  })

  it.each([mediaTypes.dockerSchema1, mediaTypes.dockerSchema1Signed, undefined])(
    'refuses schema 1 (%s) in words',
    (type) => {
      expect(() => parse({ schemaVersion: 1 }, type)).toThrow(/schema 1/)
    },
  )

  it('throws a refusal and nothing else, whatever the document', () => {
    const part = fc.oneof(fc.jsonValue(), fc.constant(layer), fc.constant([layer]), fc.constant(digest))
    const document = fc.record(
      {
        schemaVersion: fc.constantFrom(1, 2, '2'),
        mediaType: fc.oneof(fc.constantFrom(...Object.values(mediaTypes)), part),
        config: part,
        layers: part,
        manifests: part,
        subject: part,
        artifactType: part,
        annotations: part,
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(
        document,
        fc.option(fc.constantFrom(...Object.values(mediaTypes)), { nil: undefined }),
        (value, type) => {
          try {
            parse(value, type)
          } catch (error) {
            expect(['MANIFEST_INVALID', 'UNSUPPORTED']).toContain((error as { code: string }).code)
          }
        },
      ),
    )
  })
})

describe('mayBeMissing', () => {
  it('holds for layers that may not be distributed, and for no others', () => {
    expect(
      mayBeMissing({ ...layer, mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' }),
    ).toBe(true)
    expect(
      mayBeMissing({ ...layer, mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar' }),
    ).toBe(true)
    expect(mayBeMissing(layer)).toBe(false)
  })
})

import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import {
  ArchiveError,
  openFolderFiles,
  openTarFiles,
  parseArchivedName,
  readImageList,
} from '../../src/archive/archive.ts'
import { digestBytes, hexOf, OciError, parseManifest } from '../../src/oci/oci.ts'
import { inScratch, type TarEntry, writeTar } from './scratch.ts'

const { signal } = new AbortController()
const manifestType = 'application/vnd.oci.image.manifest.v1+json'

async function readTar(path: string, entries: TarEntry[]) {
  await using files = await openTarFiles(await writeTar(path, entries), { signal })
  return await readImageList(files)
}

const layout = { name: 'oci-layout', bytes: '{"imageLayoutVersion":"1.0.0"}' }
const manifest = Buffer.from(
  JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config: descriptor('config'), layers: [] }),
)
const root = { mediaType: manifestType, digest: digestBytes(manifest), size: manifest.length }
const indexOf = (...manifests: object[]): TarEntry => ({
  name: 'index.json',
  bytes: JSON.stringify({ schemaVersion: 2, manifests }),
})
const blob = (bytes: string | Buffer): TarEntry => ({
  name: `blobs/sha256/${hexOf(digestBytes(Buffer.from(bytes)))}`,
  bytes,
})

function descriptor(text: string) {
  return {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: digestBytes(Buffer.from(text)),
    size: text.length,
  }
}

describe('the images of an archive', () => {
  it('are read from an image layout, with each name that it gives them', () =>
    inScratch(async (at) => {
      const annotations = (name: string) => ({ annotations: { 'io.containerd.image.name': name } })
      const { images } = await readTar(at('a.tar'), [
        blob(manifest),
        indexOf(
          { ...root, ...annotations('docker.io/library/alpine:3.20') },
          { ...root, ...annotations('localhost:5000/team/app:1') },
          {
            ...root,
            digest: digestBytes(Buffer.from('other')),
            annotations: { 'org.opencontainers.image.ref.name': 'v1' },
          },
          { ...root, digest: digestBytes(Buffer.from('third')) },
        ),
        layout,
      ])
      expect(images.map(({ names }) => names)).toEqual([
        [
          { repository: 'alpine', tag: '3.20' },
          { repository: 'team/app', tag: '1' },
        ],
        [{ tag: 'v1' }],
        [],
      ])
    }))

  it('are read from what docker save made before, with a manifest that is always the same', () =>
    inScratch(async (at) => {
      const diffIds = ['one', 'two'].map((text) => digestBytes(Buffer.from(text)))
      const entries = [
        { name: 'aa/layer.tar', bytes: 'one' },
        { name: 'bb/layer.tar', type: '2', target: '../cc/layer.tar' },
        { name: 'cc/layer.tar', bytes: 'two' },
        { name: 'config.json', bytes: JSON.stringify({ os: 'linux', rootfs: { diff_ids: diffIds } }) },
        {
          name: 'manifest.json',
          bytes: JSON.stringify([
            {
              Config: 'config.json',
              RepoTags: ['alpine:3', 'quay.io/a/b:4'],
              Layers: ['aa/layer.tar', 'bb/layer.tar'],
            },
          ]),
        },
      ]
      const list = await readTar(at('docker.tar'), entries)
      const [image] = list.images
      if (image === undefined) throw new Error('there is one')
      expect(image.names).toEqual([
        { repository: 'alpine', tag: '3' },
        { repository: 'quay.io/a/b', tag: '4' },
      ])
      const { blobs } = parseManifest(await list.readManifest(image.root), image.root.mediaType)
      expect(blobs.slice(1).map(({ digest }) => digest)).toEqual(diffIds)
      expect(await Promise.all(blobs.map((each) => list.findBlob(each)))).toEqual([
        'config.json',
        'aa/layer.tar',
        'bb/layer.tar',
      ])
      expect((await readTar(at('again.tar'), entries.toReversed())).images).toEqual(list.images)
    }))

  it.each([
    ['localhost:5000/team/app:1', 'team/app', '1'],
    ['127.0.0.1:5000/docker.io/library/alpine:3', 'docker.io/library/alpine', '3'],
    ['[::1]:5000/a', 'a', 'latest'],
    ['docker.io/library/alpine:3', 'alpine', '3'],
    ['docker.io/team/app:3', 'team/app', '3'],
    ['quay.io/team/app', 'quay.io/team/app', 'latest'],
    ['alpine', 'alpine', 'latest'],
  ])('%s is named %s:%s here', (name, repository, tag) => {
    expect(parseArchivedName(name)).toEqual({ repository, tag })
  })

  it.each<[string, TarEntry[]]>([
    ['nothing', []],
    ['something else', [{ name: 'README', bytes: 'hello' }]],
    [
      'another version of the layout',
      [{ name: 'oci-layout', bytes: '{"imageLayoutVersion":"9"}' }, indexOf(root)],
    ],
    ['a marker that is not JSON', [{ name: 'oci-layout', bytes: 'x' }, indexOf(root)]],
    ['a marker of megabytes', [{ name: 'oci-layout', bytes: 'x'.repeat(5000) }, indexOf(root)]],
    ['no index', [layout]],
    ['an index that is not JSON', [layout, { name: 'index.json', bytes: '{' }]],
    ['an index that is an image', [layout, { name: 'index.json', bytes: manifest }]],
    ['an index of megabytes', [layout, { name: 'index.json', bytes: ' '.repeat(4_200_000) }]],
    ['a digest that is none', [layout, indexOf({ ...root, digest: 'sha256:../../x' })]],
    [
      'a name that climbs',
      [layout, indexOf({ ...root, annotations: { 'io.containerd.image.name': '../../x:1' } })],
    ],
    [
      'a tag that is none',
      [layout, indexOf({ ...root, annotations: { 'org.opencontainers.image.ref.name': '-x' } })],
    ],
    ['a manifest.json that is no list', [{ name: 'manifest.json', bytes: '{}' }]],
    ['an image without layers', [{ name: 'manifest.json', bytes: '[{"Config":"c"}]' }]],
    ['a config that is not there', [{ name: 'manifest.json', bytes: '[{"Config":"../c","Layers":[]}]' }]],
    [
      'a config that says other layers',
      [
        { name: 'manifest.json', bytes: '[{"Config":"c","Layers":["l"]}]' },
        { name: 'c', bytes: '{"rootfs":{"diff_ids":[]}}' },
        { name: 'l', bytes: '' },
      ],
    ],
    [
      'a layer that is not there',
      [
        { name: 'manifest.json', bytes: '[{"Config":"c","Layers":["l"]}]' },
        { name: 'c', bytes: JSON.stringify({ rootfs: { diff_ids: [root.digest] } }) },
      ],
    ],
  ])('are not found in an archive with %s', (_what, entries) =>
    inScratch(async (at) => {
      const reading = readTar(at('bad.tar'), [{ name: 'x' }, ...entries])
      const error: unknown = await reading.catch((reason: unknown) => reason)
      expect(error instanceof ArchiveError || error instanceof OciError, String(error)).toBe(true)
    }),
  )

  it('are looked for elsewhere where the folder is what a docker-registry stored', () =>
    inScratch(async (at) => {
      await expect(readTar(at('none.tar'), [{ name: 'docker/registry/v2/repositories/x' }])).rejects.toThrow(
        /shoal import docker-registry FOLDER/,
      )
    }))

  it('have manifests that are what their descriptor says, or none', () =>
    inScratch(async (at) => {
      const wrong = { ...blob(manifest), bytes: `${manifest} ` }
      const path = await writeTar(at('wrong.tar'), [layout, indexOf(root), wrong])
      await using files = await openTarFiles(path, { signal })
      const { readManifest, findBlob } = await readImageList(files)
      await expect(readManifest(root)).rejects.toThrow(/bytes, its descriptor says/)
      await expect(readManifest({ ...root, size: root.size + 1 })).rejects.toThrow(/hashes to/)
      await expect(readManifest({ ...root, digest: digestBytes(Buffer.from('none')) })).rejects.toThrow(
        /is not in/,
      )
      await expect(findBlob(root)).rejects.toThrow(/a manifest says/)
    }))
})

describe('a folder', () => {
  it('is not left by links, nor by names', () =>
    inScratch(async (at) => {
      await mkdir(at('outside'))
      await writeFile(at('outside/secret'), 'secret')
      await mkdir(at('layout'))
      await symlink(at('outside/secret'), at('layout/file'))
      await symlink(at('outside'), at('layout/blobs'))
      const files = await openFolderFiles(at('layout'))
      await expect(files.find('file')).rejects.toThrow(/no plain file/)
      await expect(files.find('blobs/secret')).rejects.toThrow(/leads out/)
      await expect(files.find('../outside/secret')).rejects.toThrow(/leads out/)
      await expect(files.chunks('file')[Symbol.asyncIterator]().next()).rejects.toThrow()
      expect(await files.find('none')).toBeUndefined()
    }))
})

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Digest, hexOf, parseRepository, parseTag, siblingTags } from '../../src/oci/oci.ts'
import { tokenOf } from '../../src/swarm/swarm.ts'
import { tarOf } from '../archive/scratch.ts'
import { type Made, makeBlob, makeImage, makeIndex } from '../placement/world.ts'
import { identity } from '../records/fixture.ts'
import { Site } from './site.ts'

const web = parseRepository('apps/web')

let opened: AsyncDisposableStack
let folder: string
const at = (name: string): string => join(folder, name)

const image = (): Made => makeImage([makeBlob('layer one'), makeBlob('layer two')])
const blobFile = (digest: Digest): string => join('blobs', 'sha256', hexOf(digest))

describe('images on a disk', () => {
  let here: Site
  let there: Site

  beforeEach(async () => {
    opened = new AsyncDisposableStack()
    folder = await mkdtemp(join(tmpdir(), 'shoal-disk-'))
    opened.defer(() => rm(folder, { recursive: true }))
    here = new Site(at('here'))
    there = new Site(at('there'))
    await there.open(async () => undefined)
  })
  afterEach(() => opened.disposeAsync())

  it.each(['disk', 'disk.tar'])(
    'go from one cluster to another as %s, with author, time and signatures',
    async (name) => {
      const child = image()
      const index = makeIndex([{ ...child, platform: { os: 'linux', architecture: 'arm64' } }])
      const signature = makeImage([makeBlob('signature')], { subject: index, seed: 'signature' })
      const sbom = makeImage([makeBlob('sbom')], { subject: signature, seed: 'sbom' })
      await here.push(web, index, 'v1')
      await here.push(web, signature)
      await here.push(web, sbom)
      const written = await here.tag(web, 'v1')
      await here.export(at(name), ['apps/web:v1'])
      const imported = await there.import(at(name))
      expect(imported.map(({ name: as, stands }) => [as, stands])).toEqual([
        ['apps/web:v1', 'imported'],
        [`apps/web@${signature.digest}`, 'imported'],
        [`apps/web@${sbom.digest}`, 'imported'],
      ])
      expect(await there.tag(web, 'v1')).toEqual(written)
      expect(await there.holds(index, signature, sbom)).toBe(true)
      const referrers = await there.open(({ names }) => names.listReferrers(web, index.digest, { limit: 10 }))
      expect(referrers.map(({ digest }) => digest)).toEqual([signature.digest])
    },
  )

  it('bring along what has a tag beside them, such as cosign’s signatures', async () => {
    const made = image()
    const signature = makeImage([makeBlob('signature')], { seed: 'signature' })
    const [, sig = parseTag('none')] = siblingTags(made.digest)
    await here.push(web, made, '1')
    await here.push(web, signature, sig)
    await here.export(at('disk'), ['apps/web:1'])
    await there.import(at('disk'))
    expect(await there.tag(web, sig)).toEqual(await here.tag(web, sig))
    expect(await there.holds(made, signature)).toBe(true)
  })

  it('may be BuildKit’s cache, whose index lists blobs', async () => {
    const layer = makeBlob('a cached layer', 'application/vnd.oci.image.layer.v1.tar+gzip')
    const cache = makeIndex([layer, makeBlob('{"layers":[]}', 'application/vnd.buildkit.cacheconfig.v0')])
    await here.push(web, cache, 'cache')
    await here.export(at('disk.tar'), ['apps/web:cache'])
    await there.import(at('disk.tar'))
    expect((await there.tag(web, 'cache'))?.digest).toBe(cache.digest)
    expect(await there.holds(cache)).toBe(true)
  })

  it('are not copied twice, neither out nor in, and a wrong file in the folder is mended', async () => {
    const made = image()
    await here.push(web, made, '1')
    expect(await here.export(at('disk'), ['apps/web:1'])).toMatchObject({ blobs: 4, skipped: 0 })
    await writeFile(at(join('disk', blobFile(made.children[1]?.digest ?? made.digest))), 'layer 0ne')
    expect(await here.export(at('disk'), ['apps/web:1'])).toMatchObject({ blobs: 4, skipped: 3 })
    await there.import(at('disk'))
    expect(there.states.filter((state) => state === 'here')).toHaveLength(3)
    there.states.length = 0
    await there.import(at('disk'))
    expect(there.states).toEqual(['held', 'held', 'held'])
    expect(
      (await readdir(at('disk'), { recursive: true })).filter((name) => name.includes('unfinished')),
    ).toEqual([])
  })

  it('gather in one folder, also under tags of one name', async () => {
    const api = parseRepository('apps/api')
    const [first, second] = [image(), makeImage([makeBlob('other')])]
    await here.push(web, first, '1')
    await here.push(api, second, '1')
    await here.export(at('disk'), ['apps/web:1'])
    await here.export(at('disk'), ['apps/api:1'])
    await here.export(at('disk'), ['apps/web:1'])
    await there.import(at('disk'))
    expect((await there.tag(web, '1'))?.digest).toBe(first.digest)
    expect((await there.tag(api, '1'))?.digest).toBe(second.digest)
    const names = JSON.parse(await readFile(at('disk/index.json'), 'utf8')).manifests.map(
      (entry: { annotations: Record<string, string> }) =>
        entry.annotations['org.opencontainers.image.ref.name'],
    )
    expect(new Set(names).size).toBe(2)
  })

  it('leave what is newer, and what was deleted later', async () => {
    const [old, next] = [image(), makeImage([makeBlob('newer')])]
    await here.push(web, old, '1')
    await here.export(at('disk.tar'), ['apps/web:1'])
    await there.push(web, next, '1')
    expect(await there.import(at('disk.tar'))).toMatchObject([{ stands: 'newer', digest: next.digest }])
    expect((await there.tag(web, '1'))?.digest).toBe(next.digest)
    await there.open(({ names }) =>
      names.publish([{ kind: 'tag', repository: web, tag: parseTag('1'), value: undefined }]),
    )
    expect(await there.import(at('disk.tar'))).toMatchObject([{ stands: 'deleted' }])
    expect(await there.tag(web, '1')).toBeUndefined()
  })

  it('come without records as well, and under another name', async () => {
    const made = image()
    await here.push(web, made, '1')
    await here.export(at('disk'), ['apps/web:1'])
    await rm(at('disk/shoal-records'))
    const before = await here.tag(web, '1')
    await there.import(at('disk'))
    const after = await there.tag(web, '1')
    expect(after?.digest).toBe(made.digest)
    expect(after?.author).not.toBe(before?.author)
    const other = parseRepository('other/name')
    await there.import(at('disk'), other)
    expect((await there.tag(other, '1'))?.digest).toBe(made.digest)
  })

  it('for one platform bring the others not along', async () => {
    const [arm, amd] = [image(), makeImage([makeBlob('amd')], { seed: 'amd' })]
    const index = makeIndex([
      { ...arm, platform: { os: 'linux', architecture: 'arm64' } },
      { ...amd, platform: { os: 'linux', architecture: 'amd64' } },
    ])
    await here.push(web, index, '1')
    await here.export(at('disk.tar'), ['apps/web:1'], ['linux/arm64'])
    await there.import(at('disk.tar'))
    expect((await there.tag(web, '1'))?.digest).toBe(index.digest)
    expect(await there.holds(arm)).toBe(true)
    expect(await there.holds(amd)).toBe(false)
  })

  it('are not exported when something is missing, nor over what is no archive', async () => {
    await expect(
      here.open(async () => undefined).then(() => here.export(at('disk'), ['apps/web:1'])),
    ).rejects.toMatchObject({
      code: 'EXPORT_INCOMPLETE',
    })
    await here.push(web, image(), '1')
    await writeFile(at('precious'), 'text')
    await expect(here.export(folder, ['apps/web:1'])).rejects.toMatchObject({ code: 'OUTPUT' })
    await expect(readdir(at('disk'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it.each<[string, (made: Made) => Promise<void>, string]>([
    [
      'a blob of other bytes',
      (made) => writeFile(at(join('disk', blobFile(last(made)))), 'layer tvo'),
      'DIGEST_INVALID',
    ],
    ['a blob of another size', (made) => writeFile(at(join('disk', blobFile(last(made)))), 'x'), 'ARCHIVE'],
    ['a blob that is missing', (made) => rm(at(join('disk', blobFile(last(made))))), 'ARCHIVE'],
    [
      'a manifest of other bytes',
      (made) => writeFile(at(join('disk', blobFile(made.digest))), '{}'),
      'ARCHIVE',
    ],
    [
      'records that are none',
      () => writeFile(at('disk/shoal-records'), 'shoal-records 1\nAAAA\n'),
      'MALFORMED',
    ],
    ['a record whose signature is wrong', () => spoil(at('disk/shoal-records')), 'RECORD_REFUSED'],
  ])('set no tag when the archive has %s', async (_what, change, code) => {
    const made = image()
    await here.push(web, made, '1')
    await here.export(at('disk'), ['apps/web:1'])
    await change(made)
    await expect(there.import(at('disk'))).rejects.toMatchObject({ code })
    expect(await there.tag(web, '1')).toBeUndefined()
  })

  it('say that the disk is full in the middle of a blob, and nothing else', async () => {
    const large = makeImage([makeBlob('x'.repeat(20_000_000))])
    await here.push(web, large, '1')
    await here.export(at('disk.tar'), ['apps/web:1'])
    const full = new Site(at('full'), '--min-free', '4096TiB')
    await full.open(async () => undefined)
    await expect(full.import(at('disk.tar'))).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(await full.tag(web, '1')).toBeUndefined()
  })

  it('say what cannot be read or written', async () => {
    await here.push(web, image(), '1')
    await expect(there.import(at('none.tar'))).rejects.toMatchObject({ code: 'ARCHIVE' })
    await expect(here.export(at('none/x.tar'), ['apps/web:1'])).rejects.toMatchObject({ code: 'OUTPUT' })
  })

  it('go on where an import broke off', async () => {
    const made = image()
    await here.push(web, made, '1')
    await here.export(at('disk'), ['apps/web:1'])
    const path = at(join('disk', blobFile(last(made))))
    const right = await readFile(path)
    await writeFile(path, 'layer tvo')
    await expect(there.import(at('disk'))).rejects.toMatchObject({ code: 'DIGEST_INVALID' })
    await writeFile(path, right)
    there.states.length = 0
    await there.import(at('disk'))
    expect(there.states.filter((state) => state === 'held').length).toBeGreaterThan(0)
    expect(await there.holds(made)).toBe(true)
  })

  it('restored from export after a handover: what the authority of before signed is absent, the rest is as it was', async () => {
    const [made, next] = [image(), makeImage([makeBlob('newer')])]
    const { digest, mediaType } = made
    const value = { digest, mediaType, size: made.bytes.length }
    const tag = (name: string, what: typeof value | undefined) => [
      { kind: 'tag' as const, repository: web, tag: parseTag(name), value: what },
    ]
    await here.push(web, made, 'own')
    const author = await here.open(async ({ names, membership }) => {
      const immutable = [{ repositories: '**', tags: 'sealed' }]
      await names.setPolicy({ rules: [], immutable, sealers: [], banned: [] })
      await names.publish(tag('sealed', value))
      for (const name of ['signed', 'newer', 'gone']) await names.publishAsAuthority(tag(name, value))
      return membership.identity.peerId
    })
    const all = ['own', 'sealed', 'signed', 'newer', 'gone']
    await here.export(
      at('disk'),
      all.map((name) => `apps/web:${name}`),
    )
    const [token, policy = new Uint8Array()] = await here.open(async ({ names, membership }) => {
      await names.authority.handOver(identity(7))
      return [tokenOf(membership.secrets.cluster(), []), names.findRecord({ kind: 'policy' })] as const
    })
    // A node of the same cluster that has nothing but the policy, and what was pushed there.
    const late = new Site(at('late'), '--join', token)
    await late.push(web, next, 'newer')
    const own = await late.open(async ({ names, membership }) => {
      expect(await names.apply([policy])).toMatchObject({ applied: 1, refused: {} })
      await names.publish(tag('gone', undefined))
      return membership.identity.peerId
    })
    const imported = await late.import(at('disk'))
    expect(Object.fromEntries(imported.map(({ name, stands }) => [name, stands]))).toEqual({
      'apps/web:own': 'imported',
      'apps/web:sealed': 'imported',
      'apps/web:signed': 'imported',
      'apps/web:newer': 'newer',
      'apps/web:gone': 'deleted',
    })
    const authors = await late.open(({ names }) =>
      Promise.all(all.map(async (name) => (await names.findTag(web, parseTag(name)))?.author)),
    )
    expect(authors).toEqual([author, author, own, own, undefined])
  }, 60_000)

  it('bring no record along that the archive has no image for', async () => {
    const made = image()
    await here.push(web, made, '1')
    await here.push(parseRepository('other/app'), made, '1')
    await here.export(at('disk'), ['apps/web:1'])
    await here.export(at('both'), ['apps/web:1', 'other/app:1'])
    await writeFile(at('disk/shoal-records'), await readFile(at('both/shoal-records')))
    await there.import(at('disk'))
    expect(await there.tag(web, '1')).toBeDefined()
    expect(await there.tag(parseRepository('other/app'), '1')).toBeUndefined()
  })

  it('are read from what docker save made before', async () => {
    const layer = makeBlob('a layer')
    const config = JSON.stringify({
      os: 'linux',
      architecture: 'arm64',
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
    })
    const entries = [
      { name: 'config.json', bytes: config },
      { name: 'l/layer.tar', bytes: layer.bytes },
      {
        name: 'manifest.json',
        bytes: JSON.stringify([{ Config: 'config.json', RepoTags: ['apps/web:1'], Layers: ['l/layer.tar'] }]),
      },
    ]
    await writeFile(at('saved.tar'), tarOf(entries))
    expect(await there.import(at('saved.tar'))).toMatchObject([{ name: 'apps/web:1', stands: 'imported' }])
    expect(await there.holds(layer)).toBe(true)
    const wrong = entries.map((entry) =>
      entry.name === 'l/layer.tar' ? { ...entry, bytes: 'a lawyer' } : entry,
    )
    await writeFile(at('wrong.tar'), tarOf(wrong))
    await expect(
      here.open(async () => undefined).then(() => here.import(at('wrong.tar'))),
    ).rejects.toMatchObject({ code: 'DIGEST_INVALID' })
    expect(await here.tag(web, '1')).toBeUndefined()
  })
})

function last(made: Made): Digest {
  return made.children.at(-1)?.digest ?? made.digest
}

/** Changes the last letters of the last record, which are of its signature. */
async function spoil(path: string): Promise<void> {
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
  const spoiled = lines.map((line, index) => {
    if (index === 0) return line
    const bytes = Buffer.from(line, 'base64')
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    return bytes.toString('base64')
  })
  await writeFile(path, `${spoiled.join('\n')}\n`)
}

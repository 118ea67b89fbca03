/** What the page's API answers: lists a part at a time, search, images, storage, and refusals in words. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { groupPlanned } from '../../../node/operations/planned.ts'
import type { Rows } from '../../../node/page/answers/answer.ts'
import type { HourAnswer } from '../../../node/page/answers/hour.ts'
import type {
  ImageAnswer,
  RepositoryRow,
  SearchAnswer,
  TagRow,
  WarmedAnswer,
} from '../../../node/page/answers/images.ts'
import type { StateEvent } from '../../../node/page/answers/live.ts'
import type { DoctorAnswer, RulesAnswer, StorageAnswer } from '../../../node/page/answers/storage.ts'
import { jsonContent, makeImage, makeIndex } from '../../e2e/image.ts'
import { codeOf, type ServedPage, servePage } from './fixture.ts'

describe('the page’s API', () => {
  let page: ServedPage
  beforeEach(async () => {
    page = await servePage()
  })
  afterEach(async () => {
    await page[Symbol.asyncDispose]()
  })
  const get = async <T>(path: string): Promise<T> => (await page.ask(path)).json<T>()

  it('is empty on a node that holds nothing', async () => {
    expect(await get('/api/repositories')).toEqual({ total: 0, offset: 0, rows: [] })
    expect(await get('/api/search?q=x')).toEqual({ repositories: [], tags: [], isCut: false })
  })

  it('lists repositories with their tags counted and the newest named, and follows changes', async () => {
    await page.operated.push('team/app', '1', makeImage({ seed: 'one', layerBytes: [1000] }))
    await page.operated.push('other', '1', makeIndex('index'))
    const before = await get<Rows<RepositoryRow>>('/api/repositories')
    expect(before.rows.map(({ name, tags, newest }) => [name, tags, newest?.tag])).toEqual([
      ['other', 1, '1'],
      ['team/app', 1, '1'],
    ])
    await page.operated.push('team/app', '2', makeImage({ seed: 'two', layerBytes: [1000] }))
    const { rows } = await get<Rows<RepositoryRow>>('/api/repositories?order=newest&limit=1')
    expect(rows).toMatchObject([{ name: 'team/app', tags: 2, newest: { tag: '2' } }])
    expect(await get('/api/repositories?q=ther')).toMatchObject({ total: 1, rows: [{ name: 'other' }] })
  })

  it('lists tags with sizes and platforms, the newest first or by name', async () => {
    const index = makeIndex('index')
    await page.operated.push('team/app', 'b', index)
    await page.operated.push(
      'team/app',
      'a',
      makeImage({ seed: 'x', layerBytes: [1000], architecture: 'arm64' }),
    )
    const newest = await get<Rows<TagRow>>('/api/tags?repository=team/app')
    expect(newest.rows.map(({ tag, platforms }) => [tag, platforms])).toEqual([
      ['a', ['linux/arm64']],
      ['b', ['linux/amd64', 'linux/arm64']],
    ])
    const parts = [
      index.manifest,
      ...index.images.flatMap(({ manifest, config, layers }) => [manifest, config, ...layers]),
    ]
    const sizes = new Map(parts.map(({ descriptor }) => [descriptor.digest, descriptor.size]))
    expect(newest.rows[1]?.bytes).toBe([...sizes.values()].reduce((sum, size) => sum + size, 0))
    const byName = await get<Rows<TagRow>>('/api/tags?repository=team/app&order=name&offset=1')
    expect(byName).toMatchObject({ total: 2, offset: 1, rows: [{ tag: 'b' }] })
  })

  it('gives long lists in parts, as many rows at once as it allows', async () => {
    const image = makeImage({ seed: 'many', layerBytes: [100] })
    await page.operated.push('ci/builds', 'tag-000', image)
    const { names } = page.operated.node
    const repository = 'ci/builds' as Parameters<typeof names.findTag>[0]
    const entry = await names.findTag(repository, 'tag-000' as Parameters<typeof names.findTag>[1])
    if (entry === undefined) throw new Error('the tag was just pushed')
    const tags = Array.from({ length: 450 }, (_, index) => `tag-${String(index + 1).padStart(3, '0')}`)
    await names.publish(
      tags.map((tag) => ({
        kind: 'tag',
        repository,
        tag: tag as Parameters<typeof names.findTag>[1],
        value: entry,
      })),
    )
    const first = await get<Rows<TagRow>>('/api/tags?repository=ci/builds&order=name&limit=100000')
    expect([first.total, first.rows.length]).toEqual([451, 200])
    const last = await get<Rows<TagRow>>('/api/tags?repository=ci/builds&order=name&offset=400&limit=200')
    expect([last.rows.length, last.rows.at(-1)?.tag]).toEqual([51, 'tag-450'])
    expect(await get('/api/tags?repository=ci/builds&offset=451')).toMatchObject({ total: 451, rows: [] })
    expect(await get('/api/tags?repository=ci/builds&q=TAG-45')).toMatchObject({
      total: 1,
      rows: [{ tag: 'tag-450' }],
    })
    const found = await get<SearchAnswer>('/api/search?q=builds:tag-1')
    expect(found.tags.length).toBe(20)
    expect(found.tags[0]).toEqual({ repository: 'ci/builds', tag: 'tag-100' })
  })

  it('finds the likeliest first', async () => {
    const image = makeImage({ seed: 'x', layerBytes: [100] })
    for (const name of ['my/appliance', 'app', 'team/app', 'application'])
      await page.operated.push(name, 'v1', image)
    const { repositories, tags } = await get<SearchAnswer>('/api/search?q=app')
    expect(repositories).toEqual(['app', 'application', 'my/appliance', 'team/app'])
    expect(tags).toEqual([])
    expect((await get<SearchAnswer>('/api/search?q=V1')).tags.length).toBe(4)
    expect((await get<SearchAnswer>('/api/search?q=team/app:')).tags).toEqual([
      { repository: 'team/app', tag: 'v1' },
    ])
  })

  it('describes an image, with what strangers wrote as they wrote it', async () => {
    const image = makeImage({ seed: 'app', layerBytes: [1000, 2000] })
    await page.operated.push('team/app', '1', image)
    const annotations = { text: '<script>alert(1)</script>', link: 'javascript:alert(1)' }
    const referrer = jsonContent('application/vnd.oci.image.manifest.v1+json', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      artifactType: 'application/spdx+json',
      config: image.config.descriptor,
      layers: [],
      subject: image.manifest.descriptor,
      annotations,
    })
    await page.operated.pushManifest('team/app', referrer.descriptor.digest, referrer)
    const answer = await get<ImageAnswer>('/api/image?repository=team/app&reference=1')
    expect(answer).toMatchObject({
      kind: 'image',
      tag: { name: '1' },
      tags: ['1'],
      isHere: true,
      referrers: [{ artifactType: 'application/spdx+json', annotations }],
    })
    expect(answer.undeletable).toBeUndefined()
    expect(
      answer.platforms[0]?.content?.layers.map(({ bytes, isHere, createdBy }) => [bytes, isHere, createdBy]),
    ).toEqual(image.layers.map(({ descriptor }, index) => [descriptor.size, true, `layer ${index}`]))
  })

  it('deletes a tag, and says why it does not', async () => {
    await page.operated.push('team/app', '1', makeImage({ seed: 'app', layerBytes: [1000] }))
    await page.operated.push('team/app', 'v1', makeImage({ seed: 'app', layerBytes: [1000] }))
    expect((await page.change('/api/delete-tag', { repository: 'team/app', tag: '1' })).status).toBe(200)
    expect(await get('/api/tags?repository=team/app')).toMatchObject({ total: 1, rows: [{ tag: 'v1' }] })
    expect(codeOf(await page.change('/api/delete-tag', { repository: 'team/app', tag: '1' }))).toBe(
      'MANIFEST_UNKNOWN',
    )
    await using keeping = await servePage(['--no-delete'])
    await keeping.operated.push('team/app', '1', makeImage({ seed: 'app', layerBytes: [1000] }))
    const refused = await keeping.change('/api/delete-tag', { repository: 'team/app', tag: '1' })
    expect([refused.status, codeOf(refused)]).toEqual([405, 'UNSUPPORTED'])
    const image = (await keeping.ask('/api/image?repository=team/app&reference=1')).json<ImageAnswer>()
    expect(image.undeletable).toContain('--no-delete')
  })

  it('says what can be freed, and frees it', async () => {
    await using collecting = await servePage(['--gc-grace', '0s'])
    const image = makeImage({ seed: 'app', layerBytes: [5000] })
    await collecting.operated.push('team/app', '1', image)
    const tag = { repository: 'team/app', tag: '1' }
    const before = (await collecting.ask('/api/storage')).json<StorageAnswer>()
    expect(before).toMatchObject({ blobs: 2, now: { bytes: 0 }, graceMs: 0 })
    expect(before.freeBytes).toBeGreaterThan(0)
    await collecting.change('/api/delete-tag', tag)
    await collecting.operated.node.names.publish([
      {
        kind: 'manifest',
        repository: tag.repository as never,
        digest: image.manifest.descriptor.digest as never,
        value: undefined,
      },
    ])
    const freed = (await collecting.change('/api/collect', {})).json<{ blobs: number; bytes: number }>()
    expect(freed.blobs).toBe(2)
    const after = (await collecting.ask('/api/storage')).json<StorageAnswer>()
    expect([after.now.bytes, after.later.bytes]).toEqual([0, 0])
  })

  it('shows a signature that cosign tagged at its image, and not as one more tag', async () => {
    const image = makeImage({ seed: 'signed', layerBytes: [1000] })
    await page.operated.push('team/app', '1', image)
    const signature = `${image.manifest.descriptor.digest.replace(':', '-')}.sig`
    const orphan = `sha256-${'0'.repeat(64)}.sig`
    for (const tag of [signature, orphan])
      await page.operated.push('team/app', tag, makeImage({ seed: tag, layerBytes: [10] }))
    const { rows } = await get<Rows<TagRow>>('/api/tags?repository=team/app&order=name')
    expect(rows.map(({ tag }) => tag)).toEqual(['1', orphan])
    expect((await get<Rows<RepositoryRow>>('/api/repositories')).rows).toMatchObject([{ tags: 2 }])
    const { referrers } = await get<ImageAnswer>('/api/image?repository=team/app&reference=1')
    expect(referrers).toMatchObject([{ tag: signature, artifactType: 'application/vnd.dev.cosign.sig' }])
  })

  it('frees this node’s copy of an image as evict does: not the only one, and not for who may not delete', async () => {
    await page.operated.push('team/app', '1', makeImage({ seed: 'one', layerBytes: [1000] }))
    const body = { repository: 'team/app', reference: '1' }
    expect((await get<ImageAnswer>('/api/image?repository=team/app&reference=1')).isEvictable).toBe(true)
    const only = await page.change('/api/evict', body)
    expect([only.status, codeOf(only)]).toEqual([422, 'EVICTION_REFUSED'])
    const elsewhere = await page.change('/api/evict', { ...body, reference: 'none' })
    expect([elsewhere.status, codeOf(elsewhere)]).toEqual([404, 'MANIFEST_UNKNOWN'])
    const access = [{ repositories: '**', who: ['anonymous'], may: ['pull', 'push'] }]
    await page.operated.perform('policy-set', { policy: { access } })
    expect((await page.change('/api/evict', body)).status).toBe(403)
    expect((await get<ImageAnswer>('/api/image?repository=team/app&reference=1')).isEvictable).toBe(false)
  })

  it('gives an image another name as tag does, and says what the name was before', async () => {
    const [first, second] = ['one', 'two'].map((seed) => makeImage({ seed, layerBytes: [1000] }))
    if (first === undefined || second === undefined) throw new Error('two were made')
    await page.operated.push('team/app', '1', first)
    await page.operated.push('team/app', '2', second)
    const body = { repository: 'team/app', reference: '1', toRepository: 'prod/app', toTag: 'stable' }
    const [one, two] = [first, second].map(({ manifest }) => manifest.descriptor.digest)
    const named = { repository: 'prod/app', tag: 'stable' }
    expect((await page.change('/api/tag', body)).json()).toEqual({ ...named, digest: one })
    const again = await page.change('/api/tag', { ...body, reference: two })
    expect(again.json()).toEqual({ ...named, digest: two, before: one })
    expect(await get('/api/tags?repository=prod/app')).toMatchObject({
      rows: [{ tag: 'stable', digest: two }],
    })
    const refusals: [object, number, string][] = [
      [{ ...body, reference: 'nope' }, 404, 'MANIFEST_UNKNOWN'],
      [{ ...body, toTag: 'not a tag' }, 400, 'TAG_INVALID'],
      [{ ...body, toRepository: '../x' }, 400, 'NAME_INVALID'],
      [{ repository: 'team/app', reference: '1' }, 400, 'BODY'],
    ]
    for (const [asked, status, code] of refusals) {
      const answer = await page.change('/api/tag', asked)
      expect([answer.status, codeOf(answer)]).toEqual([status, code])
    }
    const policy = { immutable: [{ repositories: 'prod/**', tags: '*' }] }
    await page.operated.perform('policy-set', { policy })
    const immutable = await page.change('/api/tag', body)
    expect([immutable.status, codeOf(immutable)]).toEqual([403, 'DENIED'])
    expect(immutable.body).not.toContain('--as-authority')
  })

  it('gives no image a name beyond a quota, in its repository or from another one', async () => {
    await page.operated.perform('policy-set', { policy: { quotas: [{ repositories: 'team/**', tags: 1 }] } })
    for (const repository of ['team/app', 'open/app'])
      await page.operated.push(repository, '1', makeImage({ seed: repository, layerBytes: [1000] }))
    const tag = (repository: string, toTag: string) =>
      page.change('/api/tag', { repository, reference: '1', toRepository: 'team/app', toTag })
    for (const from of ['team/app', 'open/app']) {
      const refused = await tag(from, '2')
      expect([refused.status, codeOf(refused)], from).toEqual([422, 'QUOTA_EXCEEDED'])
    }
    expect((await tag('open/app', '1')).status).toBe(200)
    expect((await get<Rows<TagRow>>('/api/tags?repository=team/app')).total).toBe(1)
  })

  it('brings an image as warm does, for who may free the disk that it fills, and says what it could not have', async () => {
    const image = makeImage({ seed: 'one', layerBytes: [1000] })
    await page.operated.push('team/app', '1', image)
    const body = { repository: 'team/app', reference: '1', platforms: [] }
    const sizes = [image.manifest, image.config, ...image.layers].map(({ descriptor }) => descriptor.size)
    expect((await page.change('/api/warm', body)).json()).toEqual({
      parts: 3,
      bytes: sizes.reduce((sum, size) => sum + size, 0),
      missing: [],
    })
    const none = (await page.change('/api/warm', { ...body, reference: 'nope' })).json<WarmedAnswer>()
    expect(none.missing).toEqual([expect.stringContaining('team/app:nope: ')])
    const access = [{ repositories: '**', who: ['anonymous'], may: ['pull', 'push'] }]
    await page.operated.perform('policy-set', { policy: { access } })
    const refused = await page.change('/api/warm', body)
    expect([refused.status, codeOf(refused)]).toEqual([403, 'READ_ONLY'])
    expect((await get<ImageAnswer>('/api/image?repository=team/app&reference=1')).isWarmable).toBe(false)
  })

  it('tells of the last hour what was pulled, and which pulls failed and why', async () => {
    await page.operated.push('team/app', '1', makeImage({ seed: 'one', layerBytes: [1000] }))
    const bytes = Buffer.byteLength((await page.ask('/v2/team/app/manifests/1')).body)
    await page.ask('/v2/team/app/manifests/2')
    await page.ask('/v2/team/app/manifests/2')
    const { nowMs, minutes, failures } = await get<HourAnswer>('/api/hour')
    expect(minutes).toHaveLength(1)
    expect(minutes[0]).toMatchObject({
      bytes: { local: bytes, peer: 0, upstream: 0 },
      pulls: { local: 1, peer: 0, upstream: 0 },
    })
    expect(failures).toMatchObject([
      { repository: 'team/app', reference: '2', code: 'MANIFEST_UNKNOWN', times: 2, client: '127.0.0.1' },
    ])
    expect(nowMs - (failures[0]?.lastMs ?? 0)).toBeLessThan(60_000)
  })

  it('adds and removes keep rules as keep does, for who may free the disk that they fill', async () => {
    const rules = async () => await get<RulesAnswer>('/api/keep')
    expect(await rules()).toMatchObject({ rules: [], mayChange: true })
    const body = { repositories: 'team/**', tags: 'release-*', platforms: ['linux/amd64'] }
    const { id } = (await page.change('/api/keep-add', body)).json<{ id: string }>()
    expect((await rules()).rules).toMatchObject([{ id, ...body }])
    const wrong = await page.change('/api/keep-add', { ...body, repositories: '..' })
    expect([wrong.status, codeOf(wrong)]).toEqual([422, 'KEEP_RULE'])
    await page.operated.perform('policy-set', {
      policy: { access: [{ repositories: '**', who: ['anonymous'], may: ['pull', 'push'] }] },
    })
    for (const [path, asked] of [
      ['keep-add', body],
      ['keep-rm', { rule: id }],
    ] as const)
      expect((await page.change(`/api/${path}`, asked)).status).toBe(403)
    expect(await rules()).toMatchObject({ rules: [{ id }], mayChange: false })
    await page.operated.perform('policy-set', { policy: {} })
    expect((await page.change('/api/keep-rm', { rule: id })).json()).toEqual({ removed: 1 })
    const gone = await page.change('/api/keep-rm', { rule: id })
    expect([gone.status, codeOf(gone)]).toEqual([422, 'RULE_UNKNOWN'])
    expect((await rules()).rules).toEqual([])
  })

  it('says what the doctor finds on its host, once a minute at most, and nothing of what is as it should be', async () => {
    const { findings, measuredMs } = await get<DoctorAnswer>('/api/doctor')
    expect(findings.filter(({ level }) => level !== 'fault' && level !== 'note')).toEqual([])
    expect(findings.map(({ check }) => check)).toContain('node')
    expect((await get<DoctorAnswer>('/api/doctor')).measuredMs).toBe(measuredMs)
  })

  it('says what may go as gc --plan does, and which images are short of copies', async () => {
    const image = makeImage({ seed: 'short', layerBytes: [1000] })
    await page.operated.push('team/app', '1', image)
    const { digest } = image.manifest.descriptor
    const debt = { repository: 'team/app', digest, held: 1, wanted: 2, sinceMs: 5 }
    page.short = [debt as never]
    const { short, plan } = await get<StorageAnswer>('/api/storage')
    expect(short).toEqual({ images: 1, list: [debt] })
    const { blobs, limit } = await page.operated.perform('gc-plan', {})
    expect(plan).toEqual({ groups: groupPlanned(blobs), ...(limit === undefined ? {} : { limit }) })
    const shown = await get<ImageAnswer>('/api/image?repository=team/app&reference=1')
    expect(shown.short).toEqual({ held: 1, wanted: 2, sinceMs: 5 })
  })

  it.each([
    ['/api/nothing', 404, 'NOT_FOUND'],
    ['/api/delete-tag', 404, 'NOT_FOUND'],
    ['/api/__proto__', 404, 'NOT_FOUND'],
    ['/api/tags', 400, 'QUERY'],
    ['/api/tags?repository=..', 400, 'NAME_INVALID'],
    ['/api/tags?repository=no/such', 404, 'NAME_UNKNOWN'],
    ['/api/tags?repository=a&limit=-1', 400, 'QUERY'],
    ['/api/tags?repository=a&limit=1e9', 400, 'QUERY'],
    ['/api/tags?repository=a&order=size', 400, 'QUERY'],
    [`/api/search?q=${'x'.repeat(300)}`, 400, 'QUERY'],
    ['/api/image?repository=a', 400, 'QUERY'],
    ['/api/image?repository=a&reference=1', 404, 'MANIFEST_UNKNOWN'],
    ['/api/image?repository=a&reference=sha256:1', 400, 'DIGEST_INVALID'],
    ['/api/live?blob=sha256:1', 400, 'DIGEST_INVALID'],
  ])('answers %s with %d %s', async (path, status, code) => {
    const answer = await page.ask(path)
    expect([answer.status, codeOf(answer)]).toEqual([status, code])
  })

  it('tells the state to whoever watches, at once and with every change of the ledger', async () => {
    const incoming = await page.open('/api/live')
    const states: StateEvent[] = []
    let text = ''
    const enough = (async () => {
      for await (const chunk of incoming.setEncoding('utf8')) {
        text += chunk
        for (const [, data] of text.matchAll(/^event: state\ndata: (.*)\n\n/gm))
          states.push(JSON.parse(data ?? ''))
        if (states.some(({ revision }) => revision > 0)) return
      }
    })()
    await page.operated.push('team/app', '1', makeImage({ seed: 'app', layerBytes: [1000] }))
    await enough
    expect(states[0]).toMatchObject({
      members: [{ isSelf: true }],
      lost: [],
      transfers: [],
      problems: ['this node is still joining its cluster'],
    })
    // It is connected to nobody by being itself.
    expect(states[0]?.members[0]).not.toHaveProperty('sinceMs')
    incoming.destroy()
  })

  it('ends the events when the node stops', async () => {
    const stopping = await servePage()
    const incoming = await stopping.open('/api/live')
    const ended = new Promise((resolve) => incoming.resume().once('close', resolve))
    await stopping[Symbol.asyncDispose]()
    await ended
  })

  it('serves the page compressed, and says nothing twice', async () => {
    const plain = await page.ask('/page/app.js')
    expect(plain.headers['cache-control']).toContain('immutable')
    expect(Number(plain.headers['content-length'])).toBeGreaterThan(2000)
    const packed = await page.ask('/page/app.js', { headers: { 'Accept-Encoding': 'gzip, br' } })
    expect(packed.headers).toMatchObject({ 'content-encoding': 'gzip' })
    expect(Number(packed.headers['content-length'])).toBeLessThan(200)
    const again = await page.ask('/', {
      headers: { 'If-None-Match': String((await page.ask('/')).headers.etag) },
    })
    expect([again.status, again.body]).toEqual([304, ''])
  })
})

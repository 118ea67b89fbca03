/** Quotas of the policy, over HTTP: what is refused, in which words, and what is counted. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Digest, digestBytes, parseRepository, parseTag } from '../../src/oci/oci.ts'
import type { Policy } from '../../src/records/records.ts'
import { QuotaTally } from '../../src/registry/quota-tally.ts'
import { type Answer, type Api, openApi } from './harness.ts'

const kib = 1024

let api: Api
beforeEach(async () => {
  api = await openApi()
})
afterEach(async () => await api[Symbol.asyncDispose]())

const setQuotas = async (quotas: NonNullable<Policy['quotas']>): Promise<void> =>
  await api.names.setPolicy({ ...api.names.policy(), quotas })

const layer = (name: string, bytes = 10 * kib): string => name.padEnd(bytes, '.')

async function refusalOf(push: Promise<unknown>): Promise<string> {
  return await push.then(
    () => 'taken',
    (error: Error) => error.message,
  )
}

const codeOf = (answer: Answer): unknown =>
  (answer.json() as { errors: { code: string }[] }).errors.map(({ code }) => code)

describe('a quota of tags', () => {
  it('is that of all repositories that match, and names its rule', async () => {
    await setQuotas([{ repositories: 'team/**', tags: 2 }])
    await api.pushImage('team/a', '1')
    await api.pushImage('team/b', '1')
    expect(await refusalOf(api.pushImage('team/c', '1'))).toMatch(
      /413.*the policy lets \\"team\/\*\*\\" have 2 tags in all; it has 2, and this would be 1 more: delete tags/,
    )
    await api.pushImage('other/c', '1')
  })

  it('lets a tag move, and another come for one that was deleted', async () => {
    await setQuotas([{ repositories: 'team/**', tags: 1 }])
    await api.pushImage('team/a', '1')
    await api.pushImage('team/a', '1', { layers: ['another'] })
    expect(await refusalOf(api.pushImage('team/a', '2'))).toContain('413')
    expect((await api.call('DELETE', '/v2/team/a/manifests/1')).status).toBe(202)
    await api.pushImage('team/a', '2')
  })

  it('is passed at two nodes at once by what neither has heard of, and not after that', async () => {
    await using other = await openApi()
    const quotas = [{ repositories: 'team/**', tags: 1 }]
    await setQuotas(quotas)
    await other.names.setPolicy({ ...other.names.policy(), quotas })
    await Promise.all([api.pushImage('team/a', '1'), other.pushImage('team/b', '1')])
    const [repository, tag] = [parseRepository('team/b'), parseTag('1')]
    const record = other.names.findRecord({ kind: 'tag', repository, tag })
    await api.names.apply(record === undefined ? [] : [record])
    expect(await refusalOf(api.pushImage('team/c', '1'))).toContain('it has 2, and this would be 1 more')
  })

  it('counts what was there before the rule, and is gone with it', async () => {
    await api.pushImage('team/a', '1')
    await api.pushImage('team/a', '2')
    await setQuotas([{ repositories: 'team/**', tags: 1 }])
    expect(await refusalOf(api.pushImage('team/a', '3'))).toContain('it has 2')
    await setQuotas([])
    await api.pushImage('team/a', '3')
  })

  it('holds against pushes at the same time', async () => {
    await setQuotas([{ repositories: 'team/**', tags: 3 }])
    const pushes = Array.from({ length: 8 }, (_, n) => refusalOf(api.pushImage('team/a', `t${n}`)))
    const taken = (await Promise.all(pushes)).filter((answer) => answer === 'taken')
    expect(taken.length).toBe(3)
  })
})

describe('a quota of bytes', () => {
  it('counts each blob once, however many tags name it', async () => {
    await setQuotas([{ repositories: 'team/**', bytes: '25KiB' }])
    for (const tag of ['1', '2', '3']) await api.pushImage('team/a', tag, { layers: [layer('base')] })
    await api.pushImage('team/b', '1', { layers: [layer('base'), layer('more', 9 * kib)] })
    expect(await refusalOf(api.pushImage('team/b', '2', { layers: [layer('too much')] }))).toMatch(
      /413.*the policy lets \\"team\/\*\*\\" have 25KiB in all/,
    )
  })

  it('refuses a blob that fits nowhere, before its manifest, with a code after which docker gives up', async () => {
    await setQuotas([{ repositories: 'team/**', bytes: '5KiB' }])
    const large = layer('large')
    const digest = digestBytes(Buffer.from(large))
    const answer = await api.call('POST', `/v2/team/a/blobs/uploads/?digest=${digest}`, { body: large })
    expect([answer.status, codeOf(answer)]).toEqual([413, ['DENIED']])
    expect((await api.call('HEAD', `/v2/team/a/blobs/${digest}`)).status).toBe(404)
  })

  it('refuses to begin an upload where nothing more fits, but mounts what is counted', async () => {
    await setQuotas([{ repositories: 'team/**', bytes: '11KiB' }])
    const { layers } = await api.pushImage('team/a', '1', { layers: [layer('base')] })
    await setQuotas([{ repositories: 'team/**', bytes: '10KiB' }])
    const begun = await api.call('POST', '/v2/team/b/blobs/uploads/')
    expect([begun.status, codeOf(begun)]).toEqual([413, ['DENIED']])
    const mount = `/v2/team/b/blobs/uploads/?mount=${layers[0]}&from=team/a`
    expect((await api.call('POST', mount)).status).toBe(201)
  })

  it('goes by what a blob is, not by what its manifest says', async () => {
    await setQuotas([{ repositories: 'team/**', bytes: '15KiB' }])
    const first = layer('first')
    await api.pushImage('team/a', '1', { layers: [first] })
    await setQuotas([
      { repositories: 'team/**', bytes: '15KiB' },
      { repositories: 'other/**', tags: 9 },
    ])
    await api.pushImage('other/a', '1', { layers: [layer('second')] })
    const mount = digestBytes(Buffer.from(layer('second')))
    await api.call('POST', `/v2/team/a/blobs/uploads/?mount=${mount}&from=other/a`)
    const config = await api.pushBlob('team/a', '{}')
    const body = JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: mount, size: 1 }],
    })
    const headers = { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }
    const answer = await api.call('PUT', '/v2/team/a/manifests/2', { headers, body })
    expect([answer.status, codeOf(answer)]).toEqual([413, ['DENIED']])
  })

  it('counts an image that only another member has by what that gives of it', async () => {
    const asked: Digest[] = []
    await api[Symbol.asyncDispose]()
    api = await openApi({
      elsewhere: {
        async fetchManifest(_repository, digest) {
          asked.push(digest)
          return digest === remote.digest ? remote.bytes : undefined
        },
      },
    })
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: {
          mediaType: 'application/vnd.oci.empty.v1+json',
          digest: digestBytes(Buffer.from('{}')),
          size: 2,
        },
        layers: [
          {
            mediaType: 'application/vnd.oci.image.layer.v1.tar',
            digest: digestBytes(Buffer.from('far away')),
            size: 20 * kib,
          },
        ],
      }),
    )
    const remote = { digest: digestBytes(bytes), bytes: Uint8Array.from(bytes) }
    const told = { mediaType: 'application/vnd.oci.image.manifest.v1+json', size: bytes.length }
    const repository = 'team/far' as never
    await api.names.publish([
      { kind: 'manifest', repository, digest: remote.digest, value: told },
      { kind: 'tag', repository, tag: '1' as never, value: { ...told, digest: remote.digest } },
    ])
    await setQuotas([{ repositories: 'team/**', bytes: '25KiB' }])
    await api.pushImage('team/a', '1', { layers: ['small'] })
    await expect.poll(() => asked).toContain(remote.digest)
    await expect
      .poll(async () => await refusalOf(api.pushImage('team/a', '2', { layers: [layer('more')] })))
      .toContain('413')
  })
})

describe('the tally', () => {
  it('is what the tags that stand name, whatever came and went before', () => {
    const digests = ['a', 'b', 'c', 'd'].map((name) => digestBytes(Buffer.from(name)))
    const part = fc.integer({ min: 0, max: 3 }).map((n) => ({ digest: digests[n] as Digest, bytes: 1 << n }))
    const parts = fc.uniqueArray(part, { selector: ({ digest }) => digest })
    const step = fc.record({
      tag: fc.constantFrom('x', 'y', 'z'),
      parts: fc.option(parts, { nil: undefined }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const tally = new QuotaTally()
        const model = new Map<string, { digest: Digest; bytes: number }[]>()
        for (const { tag, parts } of steps) {
          tally.set(tag, parts)
          if (parts === undefined) model.delete(tag)
          else model.set(tag, parts)
        }
        const named = new Map([...model.values()].flat().map(({ digest, bytes }) => [digest, bytes]))
        expect(tally.bytes).toBe([...named.values()].reduce((sum, bytes) => sum + bytes, 0))
        expect(tally.tags).toBe(model.size)
        for (const digest of digests) expect(tally.has(digest)).toBe(named.has(digest))
      }),
    )
  })
})

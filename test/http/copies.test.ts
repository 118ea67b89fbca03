import { expect, it } from 'vitest'
import { digestBytes, mediaTypes, parseRepository, parseTag } from '../../src/oci/oci.ts'
import { openApi } from './harness.ts'

const contentType = mediaTypes.ociManifest

it('answers a push once there are the copies that the client waits for, and warns when there are fewer', async () => {
  const asked: unknown[] = []
  let held = 2
  await using api = await openApi({
    secured: async ({ repository }, { copies }) => {
      asked.push([repository, copies])
      return copies === undefined ? undefined : { held, wanted: copies }
    },
  })
  const { bytes, digest } = await api.pushImage('team/app', 'v1')
  const put = async (reference: string, ack?: string) => {
    const headers = { 'Content-Type': contentType, ...(ack === undefined ? {} : { 'Shoal-Ack': ack }) }
    return await api.call('PUT', `/v2/team/app/manifests/${reference}`, { headers, body: bytes })
  }

  const enough = await put('v1', '2')
  expect([enough.status, enough.headers.warning]).toEqual([201, undefined])
  held = 1
  const short = await put('v1', '2')
  expect([short.status, short.headers.warning]).toEqual([
    201,
    expect.stringMatching(/^199 shoal "Short of copies: 1 of 2 members/),
  ])
  expect((await put('v1')).headers.warning).toBeUndefined()
  // The first is the harness's own push.
  expect(asked).toEqual([undefined, 2, 2, undefined].map((copies) => ['team/app', copies]))
  // By its digest alone it belongs to what is still to be pushed.
  expect((await put(digest, '2')).headers.warning).toBeUndefined()
  expect(asked).toHaveLength(4)
})

it.each(['0', '17', 'two', '2, 3', ''])('refuses to wait for "%s" copies', async (ack) => {
  await using api = await openApi()
  const { bytes } = await api.pushImage('team/app', 'v1')
  const headers = { 'Content-Type': contentType, 'Shoal-Ack': ack }
  const answer = await api.call('PUT', '/v2/team/app/manifests/v2', { headers, body: bytes })
  expect(answer.status).toBe(400)
  expect(answer.json()).toMatchObject({ errors: [{ code: 'MANIFEST_INVALID' }] })
})

it('has the blobs of a push go ahead of it, and tells in the record of its tag by what owners are ranked', async () => {
  const begun: string[] = []
  const sent: unknown[] = []
  const homes = ['one', 'two', 'three'].map((name) => digestBytes(Buffer.from(name)))
  const drawn = homes.values()
  await using api = await openApi({
    ahead: {
      begin: (repository) => void begun.push(repository),
      send: (repository, digest, bytes) => void sent.push([repository, digest, bytes]),
      take: () => drawn.next().value,
    },
  })
  const homeOf = async (tag: string) =>
    (await api.names.findTag(parseRepository('team/app'), parseTag(tag)))?.home
  const { bytes, config, layers } = await api.pushImage('team/app', 'v1', { layers: ['a layer'] })
  expect(sent).toEqual([config, ...layers].map((digest) => ['team/app', digest, expect.any(Number)]))
  expect(await homeOf('v1')).toBe(homes[0])
  expect(begun).toEqual(sent.map(() => 'team/app'))

  // Another tag of the same image has the same owners, whatever was drawn for it.
  const headers = { 'Content-Type': contentType }
  await api.call('PUT', '/v2/team/app/manifests/latest', { headers, body: bytes })
  expect(await homeOf('latest')).toBe(homes[0])
  await api.pushImage('team/app', 'v2', { layers: ['another layer'] })
  expect(await homeOf('v2')).toBe(homes[2])
})

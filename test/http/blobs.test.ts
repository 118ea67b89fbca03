import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Digest, digestBytes } from '../../src/oci/oci.ts'
import { type Api, codesOf, openApi } from './harness.ts'

/** More than the read buffers together, so that ranges cross their edges. */
const bytes = randomBytes(3 * 1024 * 1024 + 17)
let api: Api
let digest: Digest
let path: string
beforeAll(async () => {
  api = await openApi()
  digest = await api.pushBlob('team/app', bytes)
  path = `/v2/team/app/blobs/${digest}`
})
afterAll(() => api[Symbol.asyncDispose]())

describe('a blob', () => {
  it('answers HEAD with everything but the bytes', async () => {
    const answer = await api.call('HEAD', path)
    expect([answer.status, answer.body.length]).toEqual([200, 0])
    expect(answer.headers).toMatchObject({
      'content-length': String(bytes.length),
      'docker-content-digest': digest,
      'accept-ranges': 'bytes',
      'content-type': 'application/octet-stream',
      etag: `"${digest}"`,
    })
  })

  it('comes whole', async () => {
    const answer = await api.call('GET', path)
    expect([answer.status, answer.headers['content-length']]).toEqual([200, String(bytes.length)])
    expect(answer.body.equals(bytes)).toBe(true)
  })

  it.each([
    [0, 0],
    [0, 1023],
    [524_287, 524_288],
    [1_000_000, 3_000_000],
    [bytes.length - 1, bytes.length - 1],
  ])('comes in ranges: %d to %d', async (first, last) => {
    const answer = await api.call('GET', path, { headers: { Range: `bytes=${first}-${last}` } })
    expect([answer.status, answer.headers['content-range']]).toEqual([
      206,
      `bytes ${first}-${last}/${bytes.length}`,
    ])
    expect(answer.body.equals(bytes.subarray(first, last + 1))).toBe(true)
  })

  it('is resumed with an open range, and read from its end', async () => {
    const resumed = await api.call('GET', path, { headers: { Range: 'bytes=2000000-' } })
    expect(resumed.body.equals(bytes.subarray(2_000_000))).toBe(true)
    const tail = await api.call('GET', path, { headers: { Range: 'bytes=-100' } })
    expect(tail.body.equals(bytes.subarray(-100))).toBe(true)
  })

  it('answers a range beyond its end with 416 and its size', async () => {
    const answer = await api.call('GET', path, { headers: { Range: `bytes=${bytes.length}-` } })
    expect([answer.status, answer.headers['content-range']]).toEqual([416, `bytes */${bytes.length}`])
  })

  it('comes whole when If-Range names another one', async () => {
    const headers = { Range: 'bytes=0-9', 'If-Range': '"other"' }
    expect((await api.call('GET', path, { headers })).status).toBe(200)
    const same = await api.call('GET', path, { headers: { Range: 'bytes=0-9', 'If-Range': `"${digest}"` } })
    expect(same.status).toBe(206)
  })

  it('is 304 to whoever has it', async () => {
    for (const value of [`"${digest}"`, `W/"${digest}"`, '*', `"a", "${digest}"`]) {
      const answer = await api.call('GET', path, { headers: { 'If-None-Match': value } })
      expect([answer.status, answer.body.length]).toEqual([304, 0])
    }
  })

  it('is unknown in every other repository', async () => {
    const answer = await api.call('GET', `/v2/team/other/blobs/${digest}`)
    expect([answer.status, codesOf(answer)]).toEqual([404, ['BLOB_UNKNOWN']])
    expect((await api.call('HEAD', `/v2/team/other/blobs/${digest}`)).status).toBe(404)
  })

  it('leaves one repository when it is deleted there', async () => {
    const shared = await api.pushBlob('delete/one', 'shared bytes')
    await api.pushBlob('delete/two', 'shared bytes')
    expect((await api.call('DELETE', `/v2/delete/one/blobs/${shared}`)).status).toBe(202)
    expect((await api.call('GET', `/v2/delete/one/blobs/${shared}`)).status).toBe(404)
    expect((await api.call('DELETE', `/v2/delete/one/blobs/${shared}`)).status).toBe(404)
    expect((await api.call('GET', `/v2/delete/two/blobs/${shared}`)).status).toBe(200)
  })

  it('is unknown as long as nobody pushed it', async () => {
    const answer = await api.call('GET', `/v2/team/app/blobs/${digestBytes(randomBytes(9))}`)
    expect([answer.status, codesOf(answer)]).toEqual([404, ['BLOB_UNKNOWN']])
  })
})

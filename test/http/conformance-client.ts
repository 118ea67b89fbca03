/** What the conformance suite's cases do again and again: ask and expect a status, and upload in every way that there is. */
import { expect } from 'vitest'
import { type Digest, mediaTypes } from '../../src/oci/oci.ts'
import type { Answer, Api, CallOptions } from './harness.ts'

export const repository = 'conformance/one'
export const other = 'conformance/two'
export const accept = { Accept: [mediaTypes.ociIndex, mediaTypes.ociManifest] }
export const octets = { 'Content-Type': 'application/octet-stream' }

export const blobAt = (digest: Digest, name = repository) => `/v2/${name}/blobs/${digest}`
export const manifestAt = (reference: string) => `/v2/${repository}/manifests/${reference}`

export async function ask(
  api: Api,
  status: number,
  method: string,
  path: string,
  options: CallOptions = {},
): Promise<Answer> {
  const answer = await api.call(method, path, options)
  expect([method, path, answer.status]).toEqual([method, path, status])
  return answer
}

export const locationOf = ({ headers }: Answer): string =>
  headers.location ?? expect.fail('there is no Location')

export function withDigest(location: string, digest: Digest): string {
  const url = new URL(location, 'http://localhost')
  url.searchParams.set('digest', digest)
  return url.pathname + url.search
}

export interface Uploaded {
  digest: Digest
  bytes: Buffer
  name?: string
}

/** 201 where the bytes are the digest's, 400 where they are not. */
export type Upload = (api: Api, uploaded: Uploaded, expected: 201 | 400) => Promise<Answer>

export async function begin(api: Api, name = repository): Promise<string> {
  const headers = { 'Content-Length': 0 }
  return locationOf(await ask(api, 202, 'POST', `/v2/${name}/blobs/uploads/`, { headers }))
}

const inOneRequest: Upload = (api, { digest, bytes, name = repository }, expected) =>
  ask(api, expected, 'POST', `/v2/${name}/blobs/uploads/?digest=${digest}`, { body: bytes, headers: octets })

export const postThenPut: Upload = async (api, { digest, bytes, name }, expected) =>
  ask(api, expected, 'PUT', withDigest(await begin(api, name), digest), { body: bytes, headers: octets })

const streamed: Upload = async (api, { digest, bytes, name }, expected) => {
  const headers = { ...octets, 'Transfer-Encoding': 'chunked' }
  const patched = await ask(api, 202, 'PATCH', await begin(api, name), { body: bytes, headers })
  return finish(api, locationOf(patched), digest, expected)
}

/** In chunks; `strays` sends one out of order before each, which is refused and changes nothing. */
function inChunks({ chunks = 3, strays = false, endsWithChunk = false }): Upload {
  return async (api, { digest, bytes, name }, expected) => {
    let location = await begin(api, name)
    const size = Math.ceil(bytes.length / chunks)
    const send = (status: number, start: number) => {
      const part = bytes.subarray(start, start + size)
      const isEnd = endsWithChunk && start + size >= bytes.length
      return ask(api, status, isEnd ? 'PUT' : 'PATCH', isEnd ? withDigest(location, digest) : location, {
        body: part,
        headers: { ...octets, 'Content-Range': `${start}-${start + part.length - 1}` },
      })
    }
    for (let start = 0; start < bytes.length; start += size) {
      if (strays) {
        await send(416, start + size < bytes.length ? start + size : 0)
        const told = await ask(api, 204, 'GET', location)
        expect(told.headers.range).toBe(start === 0 ? '0-0' : `0-${start - 1}`)
        location = locationOf(told)
      }
      if (endsWithChunk && start + size >= bytes.length) return send(expected, start)
      location = locationOf(await send(202, start))
    }
    return finish(api, location, digest, expected)
  }
}

function finish(api: Api, location: string, digest: Digest, expected: number): Promise<Answer> {
  const headers = { ...octets, 'Content-Length': 0 }
  return ask(api, expected, 'PUT', withDigest(location, digest), { headers })
}

export const uploads: [string, Upload][] = [
  ['POST alone', inOneRequest],
  ['POST, then PUT', postThenPut],
  ['one chunk', inChunks({ chunks: 1 })],
  ['a stream', streamed],
  ['three chunks', inChunks({})],
  ['three chunks, the last one by PUT', inChunks({ endsWithChunk: true })],
  ['chunks, some out of order', inChunks({ strays: true })],
  ['chunks, some out of order, the last one by PUT', inChunks({ strays: true, endsWithChunk: true })],
]

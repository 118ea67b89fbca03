/** What clients see of a disk that changed what it was given. */
import { randomBytes } from 'node:crypto'
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Digest, hexOf } from '../../src/oci/oci.ts'
import { type Api, openApi } from './harness.ts'

const bytes = randomBytes(3 * 1024 * 1024)
let api: Api
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api[Symbol.asyncDispose]())

const pathOf = (digest: Digest): string =>
  join(api.directory, 'blobs/sha256', hexOf(digest).slice(0, 2), hexOf(digest))

it.each([10, 2_000_000, bytes.length - 1])(
  'cuts the connection when byte %i of a blob rotted, and takes it again',
  async (at) => {
    const digest = await api.pushBlob('team/app', bytes)
    const path = `/v2/team/app/blobs/${digest}`
    expect((await api.call('GET', path)).body.equals(bytes)).toBe(true)
    const file = await readFile(pathOf(digest))
    file[at] = (file[at] ?? 0) ^ 1
    await writeFile(pathOf(digest), file)
    await expect(api.call('GET', path)).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect((await api.call('HEAD', path)).status).toBe(404)
    expect((await api.call('GET', path)).status).toBe(404)
    await api.pushBlob('team/app', bytes)
    expect((await api.call('GET', path)).body.equals(bytes)).toBe(true)
  },
)

it('answers 404 for a blob that was cut short, so that a push does not skip it', async () => {
  const digest = await api.pushBlob('team/cut', bytes)
  const path = `/v2/team/cut/blobs/${digest}`
  await truncate(pathOf(digest), 1000)
  expect((await api.call('HEAD', path)).status).toBe(404)
  expect((await api.call('GET', path)).status).toBe(404)
  await api.pushBlob('team/cut', bytes)
  expect((await api.call('GET', path)).body.equals(bytes)).toBe(true)
})

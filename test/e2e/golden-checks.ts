/** Looks for everything that a golden data directory holds, through the registry that was started over it. */
import { expect } from 'vitest'
import { type Client, pullManifest, UnexpectedAnswerError, withDigest } from './client.ts'
import { type GoldenData, goldenUpload } from './golden-data.ts'
import { sha256 } from './image.ts'

/** Fails unless content, tags and policy are as they were left and the upload goes on where it stood. */
export async function expectGolden(client: Client, golden: GoldenData): Promise<void> {
  await expectTags(client, golden)
  await expectBlobs(client, golden)
  await expectReferrer(client, golden)
  await expectImmutable(client, golden)
  await expectUpload(client, golden)
  await expectAccount(client, golden)
}

async function expectAccount(client: Client, { account }: GoldenData): Promise<void> {
  if (account === undefined) return
  const statusWith = async (password: string): Promise<number> => {
    const authorization = `Basic ${Buffer.from(`${account.name}:${password}`).toString('base64')}`
    return (await client.ask('GET', '/v2/', { headers: { authorization } })).status
  }
  expect([await statusWith(account.password), await statusWith('wrong')]).toEqual([200, 401])
}

async function expectTags(client: Client, { repository, tags, deletedTag }: GoldenData): Promise<void> {
  for (const [tag, digest] of Object.entries(tags)) {
    const { headers, body } = await pullManifest(client, repository, tag)
    expect([headers['docker-content-digest'], sha256(body)]).toEqual([digest, digest])
  }
  const gone = await client.ask('GET', `/v2/${repository}/manifests/${deletedTag}`)
  expect(gone.status).toBe(404)
  const list = await client.ask('GET', `/v2/${repository}/tags/list`)
  expect(JSON.parse(list.body.toString())).toEqual({ name: repository, tags: Object.keys(tags).sort() })
}

async function expectBlobs(client: Client, { repository, blobs }: GoldenData): Promise<void> {
  const found = blobs.map(async (digest) => {
    const { status, body } = await client.ask('GET', `/v2/${repository}/blobs/${digest}`)
    return [status, sha256(body)]
  })
  expect(await Promise.all(found)).toEqual(blobs.map((digest) => [200, digest]))
}

async function expectReferrer(client: Client, { repository, referrer }: GoldenData): Promise<void> {
  const { body } = await client.ask('GET', `/v2/${repository}/referrers/${referrer.subject}`)
  const { manifests } = JSON.parse(body.toString()) as { manifests: { digest: string }[] }
  expect(manifests.map(({ digest }) => digest)).toEqual([referrer.digest])
}

async function expectImmutable(
  client: Client,
  { repository, tags, immutableTag }: GoldenData,
): Promise<void> {
  const other = Object.entries(tags).find(([, digest]) => digest !== tags[immutableTag])
  if (other === undefined) throw new Error('the golden data has one image only')
  const { headers, body } = await pullManifest(client, repository, other[0])
  const moved = await client.ask('PUT', `/v2/${repository}/manifests/${immutableTag}`, {
    headers: { 'content-type': String(headers['content-type']) },
    body,
  })
  expect([moved.status, moved.body.toString()]).toEqual([403, expect.stringContaining('DENIED')])
}

async function expectUpload(client: Client, { repository, upload }: GoldenData): Promise<void> {
  const where = await client.ask('GET', upload.location)
  expect([where.status, where.headers.range]).toEqual([204, `0-${upload.offset - 1}`])
  const digest = sha256(goldenUpload)
  const body = goldenUpload.subarray(upload.offset)
  const put = await client.ask('PUT', withDigest(upload.location, digest), { body })
  if (put.status !== 201) throw new UnexpectedAnswerError('PUT of the rest of an upload', put)
  const blob = await client.ask('GET', `/v2/${repository}/blobs/${digest}`)
  expect(sha256(blob.body)).toBe(digest)
}

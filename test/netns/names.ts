/** Small manifests and tags of a node's registry: pushed, moved, deleted, and read back as clients see them. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Client, pullManifest, pushBlob, pushManifest, UnexpectedAnswerError } from '../e2e/client.ts'
import { type Content, content, jsonContent } from '../e2e/image.ts'

const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const emptyConfig = content('application/vnd.oci.empty.v1+json', Buffer.from('{}'))

/** A manifest of two bytes' content; those of one seed are the same. */
export function smallManifest(seed: string, subject?: Content): Content {
  return jsonContent(manifestType, {
    schemaVersion: 2,
    mediaType: manifestType,
    ...(subject === undefined ? {} : { artifactType: 'application/vnd.example.note' }),
    config: emptyConfig.descriptor,
    layers: [emptyConfig.descriptor],
    ...(subject === undefined ? {} : { subject: subject.descriptor }),
    annotations: { seed },
  })
}

/** Pushes it with what it refers to; throws unless it was acknowledged. */
export async function pushSmall(
  client: Client,
  repository: string,
  reference: string,
  manifest: Content,
): Promise<void> {
  await pushBlob(client, repository, emptyConfig)
  await pushManifest(client, repository, reference, manifest)
}

export async function deleteTag(client: Client, repository: string, tag: string): Promise<void> {
  const answer = await client.ask('DELETE', `/v2/${repository}/manifests/${tag}`)
  if (answer.status !== 202) throw new UnexpectedAnswerError('DELETE of a tag', answer)
}

/** The digest that a tag or digest resolves to; `undefined` for a 404. Comes again when it is told to, as members are silent or not met yet. */
export async function resolveTag(
  client: Client,
  repository: string,
  reference: string,
): Promise<string | undefined> {
  for (let left = 10; ; left -= 1) {
    try {
      const { headers } = await pullManifest(client, repository, reference)
      return headers['docker-content-digest']?.toString()
    } catch (error) {
      if (!(error instanceof UnexpectedAnswerError)) throw error
      const { status, headers } = error.answer
      if (status === 404) return undefined
      const again = headers['retry-after']
      if (status !== 503 || again === undefined || left === 0) throw error
      await delay(1000 * Number(again))
    }
  }
}

/** What a node lists: its repositories, and of one the tags, what they point to, and the referrers of a digest. */
export async function listNames(client: Client, repository: string, subject?: Content): Promise<unknown> {
  const { repositories } = await readJson<{ repositories: string[] }>(client, '/v2/_catalog?n=1000')
  const { tags } = await readJson<{ tags: string[] }>(client, `/v2/${repository}/tags/list?n=1000`)
  const digests = tags.map(async (tag) => [tag, await resolveTag(client, repository, tag)])
  const referrers =
    subject && (await readJson(client, `/v2/${repository}/referrers/${subject.descriptor.digest}`))
  return { repositories, tags: Object.fromEntries(await Promise.all(digests)), referrers }
}

async function readJson<T>(client: Client, path: string): Promise<T> {
  const answer = await client.ask('GET', path)
  if (answer.status !== 200) throw new UnexpectedAnswerError(`GET ${path}`, answer)
  return JSON.parse(answer.body.toString()) as T
}

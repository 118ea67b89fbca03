/** What a registry has acknowledged while it was being killed, and the check that it still knows all of it. */
import { expect } from 'vitest'
import { ACCEPT_MANIFESTS, type Client, pullManifest } from './client.ts'
import { type Content, sha256 } from './image.ts'

export interface Stored extends Content {
  repository: string
  /** The digest that a manifest names as its subject. */
  subject?: string
}

export interface Interrupted {
  repository: string
  location: string
  content: Content
  /** Bytes that were acknowledged with 202. */
  acknowledged: number
  /** Bytes that were sent, whether they arrived or not. */
  sent: number
  /** Its last PUT was not answered: the registry may have finished it. */
  maybeFinished: boolean
}

interface TagState {
  /** `undefined` is a tag that does not exist. */
  digest: string | undefined
  /** What a request that was not answered may have made of it. */
  attempt: { digest: string | undefined } | undefined
}

export class CrashLedger {
  readonly blobs: Stored[] = []
  readonly manifests: Stored[] = []
  readonly interrupted: Interrupted[] = []
  readonly #tags = new Map<string, TagState>()
  #checkedBlobs = 0
  #checkedManifests = 0

  blobsOf(repository: string): Stored[] {
    return this.blobs.filter((blob) => blob.repository === repository)
  }

  /** A request that changes a tag is about to go out. */
  tagAttempt(name: string, digest: string | undefined): void {
    const state = this.#tags.get(name) ?? { digest: undefined, attempt: undefined }
    this.#tags.set(name, { ...state, attempt: { digest } })
  }

  tagAcknowledged(name: string, digest: string | undefined): void {
    this.#tags.set(name, { digest, attempt: undefined })
  }

  /** The digest that is certain to be behind a tag. */
  tagged(name: string): string | undefined {
    const state = this.#tags.get(name)
    return state?.attempt === undefined ? state?.digest : undefined
  }

  /** Reads back what was acknowledged since the last check, or everything. */
  async check(client: Client, { everything = false } = {}): Promise<void> {
    const blobs = everything ? this.blobs : this.blobs.slice(this.#checkedBlobs)
    for (const blob of blobs) await this.#checkBlob(client, blob)
    const manifests = everything ? this.manifests : this.manifests.slice(this.#checkedManifests)
    for (const manifest of manifests) await this.#checkManifest(client, manifest)
    for (const [name, state] of this.#tags) await this.#checkTag(client, name, state)
    this.#checkedBlobs = this.blobs.length
    this.#checkedManifests = this.manifests.length
  }

  async #checkBlob(client: Client, { repository, descriptor }: Stored): Promise<void> {
    const got = await client.ask('GET', `/v2/${repository}/blobs/${descriptor.digest}`)
    const facts = { status: got.status, size: got.body.length, digest: sha256(got.body) }
    expect(facts, `blob of ${repository}`).toEqual({
      status: 200,
      size: descriptor.size,
      digest: descriptor.digest,
    })
  }

  async #checkManifest(client: Client, { repository, descriptor, bytes, subject }: Stored): Promise<void> {
    const got = await pullManifest(client, repository, descriptor.digest)
    expect(got.body.equals(bytes), `manifest ${descriptor.digest} of ${repository}`).toBe(true)
    expect(got.headers['content-type']).toBe(descriptor.mediaType)
    if (subject === undefined) return
    const referrers = await client.ask('GET', `/v2/${repository}/referrers/${subject}`)
    expect(referrers.body.toString(), `referrers of ${subject}`).toContain(descriptor.digest)
  }

  async #checkTag(client: Client, name: string, state: TagState): Promise<void> {
    const [repository = '', tag = ''] = name.split(':')
    const headers = { accept: ACCEPT_MANIFESTS }
    const got = await client.ask('HEAD', `/v2/${repository}/manifests/${tag}`, { headers })
    expect(got.status, `tag ${name}`).toBeOneOf([200, 404])
    const digest = got.status === 404 ? undefined : got.headers['docker-content-digest']
    const allowed = [state.digest, ...(state.attempt === undefined ? [] : [state.attempt.digest])]
    expect(allowed, `what the tag ${name} may point to`).toContain(digest)
    // What has been seen must stay seen.
    this.#tags.set(name, { digest: digest?.toString(), attempt: undefined })
  }
}

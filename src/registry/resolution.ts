/** What a reference means: a tag to a digest, a digest to what its record says, asked of members and upstreams where need be. */
import { noTrace, timed } from '../base/base.ts'
import { type Digest, OciError, type Reference, type Repository, upstreamOf } from '../oci/oci.ts'
import type { ManifestEntry } from '../records/records.ts'
import type { MirroredTag } from './mirror.ts'
import type { PullOptions } from './pull.ts'
import type { Collaborators } from './registry.ts'

export interface Resolved {
  entry: ManifestEntry
  /** How long that holds, where it was a mirrored tag. */
  tag: Pick<MirroredTag, 'freshUntilMs' | 'stale'>
}

export interface ResolveOptions extends PullOptions {
  /** Whoever pushes asks so whether it is there, and goes on when told that it is not; default false. */
  mayBeOfPush?: boolean
}

export interface Resolution {
  /** Throws `MANIFEST_UNKNOWN`, and `UNAVAILABLE` where members that may know it do not answer. */
  resolve(repository: Repository, reference: Reference, options: ResolveOptions): Promise<Resolved>
}

/** With a top-level domain. */
const hostForm = /\.[a-z]{2,}$/
/** For what members have that do not answer: who is busy does so soon, and who is gone is not waited for again. */
export const retryAfterMs = 1_000

export function createResolution({ store, names, elsewhere, mirror, own }: Collaborators): Resolution {
  async function findDigest(
    repository: Repository,
    reference: Reference,
    { signal, trace = noTrace, mayBeOfPush }: ResolveOptions,
  ): Promise<MirroredTag | undefined> {
    if ('digest' in reference) return reference
    const { tag } = reference
    const here = await names.findTag(repository, tag)
    if (here !== undefined && here.checkedMs === undefined) return { digest: here.digest }
    if (here !== undefined || (await own.isMirrored(repository))) {
      const found = await timed(trace, 'ask', () => mirror.resolveTag(repository, tag, here))
      if (found !== 'silence') return found
      checkPushed(repository, tag, mayBeOfPush)
      return undefined
    }
    const asked = await timed(trace, 'ask', () => elsewhere.askForTag(repository, tag, withSignal(signal)))
    const told = await names.findTag(repository, tag)
    if (told === undefined && asked === 'silence') checkPushed(repository, tag, mayBeOfPush)
    return told
  }

  async function findEntry(
    repository: Repository,
    digest: Digest,
    { signal, trace = noTrace, mayBeOfPush }: ResolveOptions,
  ): Promise<ManifestEntry | undefined> {
    const here = await names.findManifest(repository, digest)
    if (here !== undefined) return here
    const asked = await timed(trace, 'ask', () =>
      elsewhere.askForManifest(repository, digest, withSignal(signal)),
    )
    const told = await names.findManifest(repository, digest)
    if (told === undefined && asked === 'silence') checkPushed(repository, digest, mayBeOfPush)
    if (told !== undefined || !(await own.isMirrored(repository))) return told
    const isThere = await timed(trace, 'ask', () => mirror.bringManifest(repository, digest))
    return isThere ? names.findManifest(repository, digest) : undefined
  }

  /** Nobody has said that there is no such thing, which suffices for whoever is going to push it. */
  function checkPushed(repository: Repository, name: string, mayBeOfPush = false): void {
    if (mayBeOfPush && own.isPushing(repository)) return
    throw new OciError(
      'UNAVAILABLE',
      `${repository} has no manifest ${name} here, and members that may have it did not answer in time`,
      { retryAfterMs },
    )
  }

  /** The index that lists what was not found, as whoever pulls it knows that. */
  async function findIndex(repository: Repository, digest: Digest): Promise<string | undefined> {
    for await (const index of store.manifests.referringTo(repository, digest)) {
      const [tag] = await names.tagsOf(repository, index, { limit: 1 })
      return tag === undefined ? index : `${index} (${tag})`
    }
    return undefined
  }

  /** For who pulls by a mirrored name where nobody mirrors it. */
  async function mirrorHint(repository: Repository): Promise<string> {
    const host = upstreamOf(repository)
    if (host === undefined || !hostForm.test(host)) return ''
    if ((await own.isMirrored(repository)) || (await names.hasRepository(repository))) return ''
    return `: no member mirrors ${host}; shoal serve --upstream ${host} does`
  }

  return {
    async resolve(repository, reference, options) {
      const tag = await findDigest(repository, reference, options)
      const entry = tag === undefined ? undefined : await findEntry(repository, tag.digest, options)
      if (tag !== undefined && entry !== undefined) return { entry, tag }
      const name = 'tag' in reference ? reference.tag : reference.digest
      const index = 'digest' in reference ? await findIndex(repository, reference.digest) : undefined
      const why =
        index === undefined
          ? await mirrorHint(repository)
          : `: the index ${index} lists it, but it was not pushed there`
      throw new OciError(
        'MANIFEST_UNKNOWN',
        `${repository} has no ${'tag' in reference ? 'tag' : 'manifest'} ${name}${why}`,
        {
          detail: { repository, reference: name },
        },
      )
    },
  }
}

function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}

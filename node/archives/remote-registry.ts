/** A registry that runs, as what images are imported from: asked as any client asks it, and gone on with where a line broke. */
import { ArchiveError, type OtherRegistry } from '../../src/archive/archive.ts'
import { RecentMap } from '../../src/base/base.ts'
import {
  type Digest,
  mayBeMissing,
  mediaTypes,
  OciError,
  parseDigest,
  parseRepository,
  parseTag,
  type Repository,
} from '../../src/oci/oci.ts'
import { type ListedRegistry, UpstreamUnavailableError } from '../../src/upstream/upstream.ts'

const manifestTypes = new Set<string>([
  mediaTypes.ociIndex,
  mediaTypes.ociManifest,
  mediaTypes.dockerList,
  mediaTypes.dockerManifest,
])
/** Each is read to be looked through, and again to be published. */
const maxManifests = 64
/** Without a byte in between. */
const maxTries = 5

/** `repositories`, where it is given, are all that it has: not every registry tells. */
export function remoteRegistry(
  registry: ListedRegistry,
  { name, repositories, signal }: { name: string; repositories?: string[] | undefined; signal: AbortSignal },
): OtherRegistry {
  async function* namesOf<T>(names: AsyncIterable<string> | string[], parse: (name: string) => T) {
    for await (const each of names) {
      try {
        yield parse(each)
      } catch (error) {
        // A name that no client of today could pull by.
        if (!(error instanceof OciError)) throw error
      }
    }
  }

  async function* chunks(repository: Repository, digest: Digest): AsyncGenerator<Uint8Array> {
    let position = 0
    let size: number | undefined
    for (let tries = 0; size === undefined || position < size; ) {
      try {
        await using blob = await registry.openBlob(repository, digest, { start: position, signal })
        if (blob === undefined) throw new ArchiveError(`${name} lacks the blob ${digest} of ${repository}`)
        size = blob.size
        let at = blob.start
        for await (const chunk of blob.chunks) {
          // Where ranges are not to be had it begins anew.
          const fresh = chunk.subarray(Math.min(chunk.length, Math.max(0, position - at)))
          at += chunk.length
          if (fresh.length === 0) continue
          position += fresh.length
          tries = 0
          yield fresh
        }
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof UpstreamUnavailableError) || error.trouble === 'denied' || ++tries >= maxTries)
          throw error
      }
      if (size === 0) return
    }
  }

  return {
    name,
    repositories: () => namesOf(repositories ?? registry.listRepositories({ signal }), parseRepository),
    async *references(repository) {
      for await (const tag of namesOf(registry.listTags(repository, { signal }), parseTag)) yield { tag }
    },
    async describe(repository, reference) {
      const found = await registry.statManifest(repository, reference, { signal })
      if (found !== undefined) return found
      throw new ArchiveError(`${name} has no such manifest in ${repository}`)
    },
    referrers: (repository, subject) => registry.listReferrers(repository, subject, { signal }),
    content(repository) {
      const manifests = new RecentMap<Digest, Uint8Array>(maxManifests)
      return {
        name,
        chunks: (digest) => chunks(repository, parseDigest(digest)),
        async readManifest({ digest }) {
          const bytes =
            manifests.get(digest) ?? (await registry.getManifest(repository, { digest }, { signal }))?.bytes
          if (bytes === undefined)
            throw new ArchiveError(`${name} lacks the manifest ${digest} of ${repository}`)
          manifests.set(digest, bytes)
          return bytes
        },
        async findBlob(blob) {
          const { digest } = blob
          if (manifestTypes.has(blob.mediaType))
            return (await registry.statManifest(repository, { digest }, { signal })) && digest
          if (!mayBeMissing(blob)) return digest
          await using found = await registry.openBlob(repository, digest, { signal })
          return found && digest
        },
      }
    },
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  }
}

/**
 * The storage folder of a registry of CNCF's distribution (docker-registry): what it holds, read in place while nobody need know
 * that it was one. Repositories and tags are folders, in which files of one line name digests.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  algorithmOf,
  type Descriptor,
  type Digest,
  hexOf,
  maxManifestBytes,
  mediaTypes,
  OciError,
  parseDigest,
  parseJson,
  parseManifest,
  parseRepository,
  parseTag,
  type Reference,
  type Repository,
} from '../oci/oci.ts'
import { ArchiveError } from './errors.ts'
import { type ArchiveFiles, readBlob, readSmall } from './files.ts'
import { openFolderFiles } from './folder-files.ts'
import type { ImageList } from './image-list.ts'

/** What a registry of another make holds, a repository at a time. Each of these throws ArchiveError, or what its way there throws. */
export interface OtherRegistry extends AsyncDisposable {
  /** For messages. */
  readonly name: string
  repositories(): AsyncIterable<Repository>
  /** Its tags, and what has none and refers to another manifest, as far as that is known before those are read. */
  references(repository: Repository): AsyncIterable<Reference>
  describe(repository: Repository, reference: Reference): Promise<Descriptor>
  /** What refers to a manifest and is not among the references. */
  referrers(repository: Repository, subject: Digest): Promise<Digest[]>
  content(repository: Repository): OtherContent
}

export type OtherContent = Omit<ImageList, 'images'> & Pick<ArchiveFiles, 'name' | 'chunks' | 'pathOf'>

const inside = 'docker/registry/v2'
const maxLinkBytes = 256
/** Repositories lie below each other; their names have 255 characters. */
const maxDepth = 128

/** `folder` is the registry's `rootdirectory`, or what lies in it. Throws ArchiveError where it is neither. */
export async function openDockerRegistry(folder: string): Promise<OtherRegistry> {
  const root = await findRoot(folder)
  const files = await openFolderFiles(root)
  const manifestsOf = (repository: Repository): string => `repositories/${repository}/_manifests`

  const readManifest = (descriptor: Descriptor): Promise<Uint8Array> =>
    readBlob(files, descriptor, { maxBytes: maxManifestBytes, path: dataPath(descriptor) })

  const read = async (digest: Digest): Promise<{ bytes: Uint8Array; descriptor: Descriptor }> => {
    const path = dataPath({ digest })
    const size = (await files.find(path))?.size
    if (size === undefined)
      throw new ArchiveError(`${path} is not in ${root}, though a tag or an index names it`)
    const bytes = await readManifest({ digest, mediaType: '', size })
    return { bytes, descriptor: { digest, mediaType: typeOf(bytes, digest), size } }
  }

  const readLink = async (path: string): Promise<Digest | undefined> => {
    const bytes = await readSmall(files, `${path}/link`, maxLinkBytes)
    return bytes === undefined ? undefined : parseDigest(Buffer.from(bytes).toString('latin1').trim())
  }

  /** What has no tag is a referrer, or was given up. */
  const isReferrer = async (digest: Digest): Promise<boolean> => {
    try {
      const { bytes, descriptor } = await read(digest)
      return parseManifest(bytes, descriptor.mediaType).subject !== undefined
    } catch (error) {
      if (error instanceof ArchiveError || error instanceof OciError) return false
      throw error
    }
  }

  return {
    name: folder,
    async *repositories() {
      const open = ['']
      for (let name = open.pop(); name !== undefined; name = open.pop()) {
        const folders = await foldersIn(join(root, 'repositories', name))
        if (folders.includes('_manifests')) yield parseRepository(name)
        if (name.split('/').length === maxDepth) continue
        const below = folders.filter((each) => !each.startsWith('_')).toReversed()
        open.push(...below.map((each) => (name === '' ? each : `${name}/${each}`)))
      }
    },
    async *references(repository) {
      const manifests = manifestsOf(repository)
      const tagged = new Set<Digest>()
      for (const tag of await foldersIn(join(root, manifests, 'tags'))) {
        const at = `${manifests}/tags/${tag}/current`
        if ((await files.find(`${at}/link`)) === undefined) continue
        yield { tag: parseTag(tag) }
        try {
          const digest = await readLink(at)
          if (digest !== undefined) tagged.add(digest)
        } catch (error) {
          // Whoever has taken the tag has heard of it.
          if (!(error instanceof OciError || error instanceof ArchiveError)) throw error
        }
      }
      for (const algorithm of await foldersIn(join(root, manifests, 'revisions'))) {
        for (const hex of await foldersIn(join(root, manifests, 'revisions', algorithm))) {
          // A revision that was deleted has no link any more.
          const digest = await readLink(`${manifests}/revisions/${algorithm}/${hex}`)
          if (digest !== undefined && !tagged.has(digest) && (await isReferrer(digest))) yield { digest }
        }
      }
    },
    async describe(repository, reference) {
      const digest =
        'digest' in reference
          ? reference.digest
          : await readLink(`${manifestsOf(repository)}/tags/${reference.tag}/current`)
      if (digest === undefined) throw new ArchiveError('the tag has gone')
      return (await read(digest)).descriptor
    },
    referrers: async () => [],
    content: () => ({
      name: folder,
      chunks: (path, options) => files.chunks(path, options),
      ...(files.pathOf === undefined ? {} : { pathOf: files.pathOf }),
      readManifest,
      async findBlob(descriptor) {
        const path = dataPath(descriptor)
        const found = await files.find(path)
        if (found !== undefined && found.size !== descriptor.size)
          throw new ArchiveError(`${path} has ${found.size} bytes, a manifest says ${descriptor.size}`)
        return found === undefined ? undefined : path
      },
    }),
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  }
}

async function findRoot(folder: string): Promise<string> {
  for (const root of [join(folder, inside), folder]) {
    if ((await foldersIn(root)).includes('repositories')) return root
  }
  throw new ArchiveError(
    `${folder} is not the storage of a docker-registry: it has neither ${inside}/repositories nor repositories`,
  )
}

/** In byte order; none where there is no such folder. Links are not followed. */
async function foldersIn(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true })
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

function dataPath({ digest }: Pick<Descriptor, 'digest'>): string {
  const hex = hexOf(digest)
  return `blobs/${algorithmOf(digest)}/${hex.slice(0, 2)}/${hex}/data`
}

/** The registry keeps a manifest's bytes alone: OCI's need not say what they are. */
function typeOf(bytes: Uint8Array, digest: Digest): string {
  const document = parseJson(bytes)
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw new ArchiveError(`the manifest ${digest} is no JSON object`)
  if (typeof document.mediaType === 'string') return document.mediaType
  if (document.schemaVersion === 1)
    throw new ArchiveError(
      `the manifest ${digest} is of schema 1, which no client of today reads: push the image anew`,
    )
  return document.manifests === undefined ? mediaTypes.ociManifest : mediaTypes.ociIndex
}

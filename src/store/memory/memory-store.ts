/** A store that forgets everything with the process: the same contract for tests, without files or threads. */
import { type Clock, steadyClock } from '../../base/base.ts'
import { algorithmOf, type Digest, digestBytes } from '../../oci/oci.ts'
import { pump } from '../ingest/body.ts'
import type { Blobs, OpenBlob, Store, VerifyOptions, VerifyReport } from '../store.ts'
import { collectMemory } from './memory-collector.ts'
import { MemoryContent } from './memory-content.ts'
import { MemorySink, MemoryUploads } from './memory-uploads.ts'

export interface MemoryStoreOptions {
  clock?: Clock
  /** Default 1 GiB. */
  maxBlobBytes?: number
  /** Upload sessions at once, default 1000. */
  maxSessions?: number
}

const chunkBytes = 64 * 1024

export function memoryStore(options: MemoryStoreOptions = {}): Store {
  const { clock = steadyClock, maxBlobBytes = 2 ** 30, maxSessions = 1000 } = options
  const content = new MemoryContent(clock)
  return {
    blobs: memoryBlobs(content, maxBlobBytes),
    isUnread: async () => false,
    uploads: new MemoryUploads(content, maxSessions, maxBlobBytes),
    manifests: {
      put: (manifest) =>
        content.claims.hold([manifest.digest, ...manifest.references, ...manifest.required], async () =>
          content.putManifest({ ...manifest, bytes: Uint8Array.from(manifest.bytes) }),
        ),
      get: async (digest) => content.manifests.get(digest),
      remove: async (repository, digest, isLive) => content.removeManifest(repository, digest, isLive),
      list: async function* () {
        yield* [...content.manifests.keys()].sort()
      },
      referringTo: async function* (repository, digest) {
        const parents = [...(content.children.get(repository) ?? [])]
        yield* parents.filter(([, children]) => children.includes(digest)).map(([parent]) => parent)
      },
    },
    links: {
      has: async (repository, digest) => content.hasLink(repository, digest),
      anyRepository: async (digest) => content.anyRepository(digest),
      repositoriesOf: async function* (digest) {
        yield* [...content.links].filter(([, linked]) => linked.has(digest)).map(([repository]) => repository)
      },
      add: (repository, digests) =>
        content.claims.hold(digests, async () => {
          for (const digest of digests) content.link(repository, digest)
        }),
      remove: async (repository, digest) => content.unlinkBlob(repository, digest),
    },
    hold: (digests, work) => content.claims.hold(digests, work),
    collect: (collect) => collectMemory(content, collect),
    verify: async (verify) => verifyMemory(content, verify),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

function memoryBlobs(content: MemoryContent, maxBytes: number): Blobs {
  return {
    stat: async (digest) => {
      const item = content.blobs.get(digest)
      return item === undefined ? undefined : { size: item.bytes.length }
    },
    open: async (digest) => {
      const item = content.blobs.get(digest)
      return item === undefined ? undefined : openBytes(item.bytes)
    },
    list: async function* (options) {
      for (const [digest, { bytes }] of [...content.blobs]) {
        options?.signal?.throwIfAborted()
        yield { digest, size: bytes.length }
      }
    },
    write: async (digest, body, { signal = new AbortController().signal } = {}) => {
      const sink = new MemorySink()
      await pump(sink, body, { maxBytes, transfer: false, signal })
      content.addBlob(digest, sink.bytes())
      return { size: sink.accepted }
    },
  }
}

function openBytes(bytes: Uint8Array): OpenBlob {
  return {
    size: bytes.length,
    chunks: async function* (start, end, options) {
      for (let position = start; position < Math.min(end, bytes.length); position += chunkBytes) {
        options?.signal?.throwIfAborted()
        yield bytes.slice(position, Math.min(end, position + chunkBytes))
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

/** Nothing rots in memory; `path` says that there is none. */
function verifyMemory(content: MemoryContent, { onProgress }: VerifyOptions = {}): VerifyReport {
  const report: VerifyReport = { blobs: 0, manifests: 0, bytes: 0, corrupt: [], unreadable: [] }
  const check = (digest: Digest, bytes: Uint8Array): void => {
    report.bytes += bytes.length
    if (digestBytes(bytes, algorithmOf(digest)) !== digest) report.corrupt.push({ digest, path: 'memory' })
    onProgress?.({ blobs: report.blobs, manifests: report.manifests, bytes: report.bytes })
  }
  for (const [digest, { bytes }] of content.blobs) {
    report.blobs++
    check(digest, bytes)
  }
  for (const [digest, bytes] of content.manifests) {
    report.manifests++
    check(digest, bytes)
  }
  return report
}

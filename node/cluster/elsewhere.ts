/** The registry's view of the rest of the cluster: records asked of members, content found and fetched from them. */
import { type Logger, steadyClock, unlessAborted } from '../../src/base/base.ts'
import type { Exchange, Outside } from '../../src/exchange/exchange.ts'
import {
  algorithmOf,
  type Digest,
  digestBytes,
  maxManifestBytes,
  OciError,
  type Repository,
} from '../../src/oci/oci.ts'
import type { Elsewhere } from '../../src/registry/registry.ts'
import type { Fetched, FetchOptions, Swarm } from '../../src/swarm/swarm.ts'
import { UpstreamUnavailableError } from '../../src/upstream/upstream.ts'
import { readUpTo } from '../chunks.ts'
import type { LocalNode } from '../local-node.ts'
import { createAsker } from './asker.ts'

/** A member that lies about a manifest is blamed, and one that is slow passed over, until the time is over. */
const fetchWithinMs = 30_000
const slowMs = 5_000
const slowBytesPerSecond = 32 * 1024
/** A push asks for every layer whether it is known; most are not, and none may wait long for that. */
const findWithinMs = 1_000

export function clusterElsewhere(
  node: LocalNode,
  swarm: Swarm,
  { exchange, outside }: { exchange: Exchange; outside: Outside },
  logger: Logger,
): Elsewhere {
  const { names } = node
  const asker = createAsker(names, swarm, steadyClock, logger)

  /** From one provider after the other, until one gives the bytes that the digest names. */
  async function fetchManifest(
    repository: Repository,
    digest: Digest,
    { onGiver }: { onGiver?: (peer: string) => void } = {},
  ): Promise<Uint8Array | undefined> {
    // Who published it has it, most often; and whoever looks for others makes the whole cluster answer.
    const likely = (await names.findManifest(repository, digest))?.author
    const tried = new Set<string>()
    const over = AbortSignal.timeout(fetchWithinMs)
    while (!over.aborted) {
      const slow = new AbortController()
      const fetched = await fetchOrMissing(
        { repository, digest },
        { likely, except: tried, signal: slow.signal },
      )
      if (fetched === undefined) return undefined
      tried.add(fetched.peer)
      const bytes = await readWithin(fetched, slow)
      if (bytes === 'slow') continue
      if (bytes !== undefined && digestBytes(bytes, algorithmOf(digest)) === digest) {
        onGiver?.(fetched.peer)
        return bytes
      }
      swarm.content.blame(fetched.peer, digest, 'the manifest does not hash to its digest')
    }
    return undefined
  }

  async function fetchOrMissing(
    wanted: { repository: Repository; digest: Digest },
    { likely, ...options }: Omit<FetchOptions, 'likely'> & { likely: string | undefined },
  ) {
    try {
      return await swarm.content.fetch(wanted, { ...options, ...(likely === undefined ? {} : { likely }) })
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'CONTENT_UNAVAILABLE') return undefined
      throw error
    }
  }

  return {
    askForTag: (repository, tag, { signal } = {}) =>
      unlessAborted(asker.ask({ kind: 'tag', repository, tag }, `${repository}:${tag}`), signal),
    askForManifest: (repository, digest, { signal } = {}) =>
      unlessAborted(asker.ask({ kind: 'manifest', repository, digest }, `${repository}@${digest}`), signal),
    fetchManifest,
    fetchBlob: (repository, digest, options) => orRefused(exchange.fetch({ repository, digest }, options)),
    openBlob: (repository, digest, options) => orRefused(exchange.open({ repository, digest }, options)),
    async findBlob(repository, digest, { within = 'anywhere', ...options } = {}) {
      if (within === 'cluster' || !outside.has(repository))
        return await exchange.find({ repository, digest }, { ...options, withinMs: findWithinMs })
      // Nobody pushes it: whoever asks how large it is wants it next.
      await using blob = await orRefused(exchange.open({ repository, digest }, options))
      return blob === undefined ? undefined : { size: blob.size }
    },
    prefetch(repository, digests) {
      for (const digest of digests) exchange.prefetch({ repository, digest })
    },
    announce(digests) {
      for (const digest of digests) {
        swarm.content.announce(digest)
        exchange.changed(digest)
      }
    },
    withdraw(digests) {
      for (const digest of digests) {
        swarm.content.withdraw(digest)
        exchange.changed(digest)
      }
    },
  }
}

/** All of it, `undefined` when it is too much, or `slow` when it breaks off or takes longer than a narrow link does. */
async function readWithin(
  { size, body }: Fetched,
  slow: AbortController,
): Promise<Uint8Array | undefined | 'slow'> {
  const most = Math.min(size, maxManifestBytes)
  const timer = setTimeout(() => slow.abort(), slowMs + (most / slowBytesPerSecond) * 1000)
  try {
    return await readUpTo(body, most)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (slow.signal.aborted || code === 'CHANNEL_BROKEN' || code === 'PEER_STALLED') return 'slow'
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** What an upstream did not give, as the client is told it. */
async function orRefused<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof UpstreamUnavailableError)) throw error
    const { trouble, retryAfterMs } = error
    throw new OciError(trouble === 'paused' ? 'TOOMANYREQUESTS' : 'UNAVAILABLE', error.message, {
      cause: error,
      retryAfterMs,
    })
  }
}

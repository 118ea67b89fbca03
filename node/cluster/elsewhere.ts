/** The registry's view of the rest of the cluster: records asked of members, content found and fetched from them. */
import { type Logger, SingleFlight } from '../../src/base/base.ts'
import type { Exchange } from '../../src/exchange/exchange.ts'
import {
  algorithmOf,
  type Digest,
  digestBytes,
  maxManifestBytes,
  type Repository,
} from '../../src/oci/oci.ts'
import { askRecords, type RecordKey } from '../../src/records/records.ts'
import type { Elsewhere } from '../../src/registry/registry.ts'
import type { Swarm } from '../../src/swarm/swarm.ts'
import type { LocalNode } from '../local-node.ts'
import { askLimits, askProtocol } from './protocols.ts'

/** How long a name that is unknown here may delay its 404. */
const askTimeoutMs = 300
/** How long "nobody knows it" is believed. */
const unknownMs = 500
const maxUnknown = 10_000
const maxAsked = 16
/** A push asks for every layer whether it is known; most are not, and none may wait long for that. */
const findTimeoutMs = 1_000

export function clusterElsewhere(
  node: LocalNode,
  swarm: Swarm,
  exchange: Exchange,
  logger: Logger,
): Elsewhere {
  const { names } = node
  const asks = new SingleFlight<void>()
  const unknown = new Map<string, number>()

  function ask(key: RecordKey, name: string, signal: AbortSignal | undefined): Promise<void> {
    const until = unknown.get(name)
    if (until !== undefined && until > Date.now()) return Promise.resolve()
    return unlessAborted(
      asks.run(name, () => askMembers(key, name)),
      signal,
    )
  }

  /** The first member that knows it is enough: what is newer comes by gossip and repair. */
  async function askMembers(key: RecordKey, name: string): Promise<void> {
    const signal = AbortSignal.timeout(askTimeoutMs)
    const asked = swarm.members.peers().slice(0, maxAsked)
    const answers = asked.map(async (peer) => {
      const channel = await swarm.open(peer, askProtocol, { ...askLimits, signal })
      try {
        const records = await askRecords(channel, [key], { signal })
        const { blame } = await names.apply(records)
        if (blame !== undefined) swarm.penalise(peer, 'invalid-message')
        if (records.length === 0) throw new Error('the member does not know it')
      } finally {
        await channel.close()
      }
    })
    try {
      await Promise.any(answers)
    } catch (error) {
      logger.debug({ err: error, name, asked: asked.length }, 'no member knows the name')
      unknown.delete(name)
      unknown.set(name, Date.now() + unknownMs)
      const [oldest] = unknown.keys()
      if (unknown.size > maxUnknown && oldest !== undefined) unknown.delete(oldest)
    }
  }

  /** From one provider after the other, until one gives the bytes that the digest names. */
  async function fetchManifest(repository: Repository, digest: Digest): Promise<Uint8Array | undefined> {
    // Who published it has it, most often; and whoever looks for others makes the whole cluster answer.
    const likely = (await names.findManifest(repository, digest))?.author
    for (let attempt = 0; attempt < maxAsked; attempt++) {
      const fetched = await fetchOrMissing({ repository, digest }, likely)
      if (fetched === undefined) return undefined
      const bytes = await readUpTo(fetched.body, Math.min(fetched.size, maxManifestBytes))
      if (bytes !== undefined && digestBytes(bytes, algorithmOf(digest)) === digest) return bytes
      swarm.content.blame(fetched.peer, digest, 'the manifest does not hash to its digest')
    }
    return undefined
  }

  async function fetchOrMissing(
    wanted: { repository: Repository; digest: Digest },
    likely: string | undefined,
  ) {
    try {
      return await swarm.content.fetch(wanted, likely === undefined ? {} : { likely })
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'CONTENT_UNAVAILABLE') return undefined
      throw error
    }
  }

  return {
    askForTag: (repository, tag, { signal } = {}) =>
      ask({ kind: 'tag', repository, tag }, `${repository}:${tag}`, signal),
    askForManifest: (repository, digest, { signal } = {}) =>
      ask({ kind: 'manifest', repository, digest }, `${repository}@${digest}`, signal),
    fetchManifest,
    fetchBlob: (repository, digest, options) => exchange.fetch({ repository, digest }, options),
    openBlob: (repository, digest, options) => exchange.open({ repository, digest }, options),
    findBlob: (repository, digest, { signal } = {}) => {
      const limit = AbortSignal.timeout(findTimeoutMs)
      return exchange.find(
        { repository, digest },
        { signal: signal === undefined ? limit : AbortSignal.any([signal, limit]) },
      )
    },
    prefetch(repository, digests) {
      for (const digest of digests) exchange.prefetch({ repository, digest })
    },
    announce(digests) {
      for (const digest of digests) swarm.content.announce(digest)
    },
    withdraw(digests) {
      for (const digest of digests) swarm.content.withdraw(digest)
    },
  }
}

/** `undefined` for a body that is longer than its limit. */
async function readUpTo(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > maxBytes) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason)
    if (signal.aborted) leave()
    signal.addEventListener('abort', leave, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}

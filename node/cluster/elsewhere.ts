/** The registry's view of the rest of the cluster: records asked of members, content found and fetched from them. */
import { type Logger, steadyClock, unlessAborted } from '../../src/base/base.ts'
import type { Exchange, OriginDelegation } from '../../src/exchange/exchange.ts'
import { type Digest, maxManifestBytes, type Repository } from '../../src/oci/oci.ts'
import type { Elsewhere } from '../../src/registry/registry.ts'
import type { Swarm } from '../../src/swarm/swarm.ts'
import type { LocalNode } from '../local-node.ts'
import { createAsker } from './asker.ts'
import type { Through } from './through.ts'

/** A push asks for every layer whether it is known; most are not, and none may wait long for that. */
const findWithinMs = 1_000

export function clusterElsewhere(
  node: LocalNode,
  swarm: Swarm,
  { exchange, delegation, through }: { exchange: Exchange; delegation: OriginDelegation; through: Through },
  logger: Logger,
): Elsewhere {
  const { names } = node
  const asker = createAsker(names, swarm, steadyClock, logger)

  async function fetchManifest(
    repository: Repository,
    digest: Digest,
    { onGiver, signal }: { onGiver?: (peer: string) => void; signal?: AbortSignal } = {},
  ): Promise<Uint8Array | undefined> {
    // Who published it has it, most often; and whoever looks for others makes the whole cluster answer.
    const likely = (await names.findManifest(repository, digest))?.author
    const options = { maxBytes: maxManifestBytes, likely, ...(signal === undefined ? {} : { signal }) }
    const found = await orThrough(repository, digest, options, () =>
      exchange.read({ repository, digest }, options),
    )
    if (found !== undefined) onGiver?.(found.peer)
    return found?.bytes
  }

  /** Where nobody that is reached has it, others are asked who reach more, and then again. */
  async function orThrough<T>(
    repository: Repository,
    digest: Digest,
    options: { signal?: AbortSignal } | undefined,
    look: () => Promise<T>,
  ): Promise<T> {
    // What an upstream has is waited for by nobody.
    if (!delegation.covers(repository)) await asker.met(options)
    const found = await look()
    if (found || delegation.covers(repository)) return found
    return (await through.ask(repository, digest, options)) ? await look() : found
  }

  return {
    askForTag: (repository, tag, { signal } = {}) =>
      unlessAborted(asker.ask({ kind: 'tag', repository, tag }, `${repository}:${tag}`), signal),
    askForManifest: (repository, digest, { signal } = {}) =>
      unlessAborted(asker.ask({ kind: 'manifest', repository, digest }, `${repository}@${digest}`), signal),
    fetchManifest,
    fetchBlob: (repository, digest, options) =>
      orThrough(repository, digest, options, () => exchange.fetch({ repository, digest }, options)),
    openBlob: (repository, digest, options) =>
      orThrough(repository, digest, options, () => exchange.open({ repository, digest }, options)),
    async findBlob(repository, digest, { within = 'anywhere', ...options } = {}) {
      if (within === 'cluster' || !delegation.covers(repository))
        return await exchange.find({ repository, digest }, { ...options, withinMs: findWithinMs })
      // Nobody pushes it: whoever asks how large it is wants it next, or ranges of it.
      await using blob = await exchange.open({ repository, digest }, { ...options, ranges: () => [] })
      return blob === undefined ? undefined : { size: blob.size }
    },
    prefetch(repository, digests) {
      for (const digest of digests) exchange.prefetch({ repository, digest })
    },
    announce(digests) {
      for (const digest of digests) {
        swarm.providers.announce(digest)
        exchange.changed(digest)
      }
    },
    withdraw(digests) {
      for (const digest of digests) {
        swarm.providers.withdraw(digest)
        exchange.changed(digest)
      }
    },
  }
}

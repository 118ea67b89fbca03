/** Finds members that hold content; look-ups for the same content are one, and their results are kept for moments. */
import { CID } from 'multiformats/cid'
import { create as createMultihash } from 'multiformats/hashes/digest'
import type { Background, Clock, Metrics } from '../base/base.ts'
import { algorithmOf, type Digest, hexOf } from '../oci/oci.ts'
import type { Wanted } from './content.ts'
import { haveMessage, haveProtocol, maxMessageBytes, wantedMessage } from './content-messages.ts'
import type { Host } from './host.ts'
import type { Libp2pNode } from './libp2p-node.ts'
import type { Members } from './members.ts'

export interface Finder {
  find(wanted: Wanted, options?: { signal?: AbortSignal }): AsyncIterable<string>
  /** The peer did not deliver: it is left out of this look-up's kept result. */
  forget(wanted: Wanted, peer: string): void
}

export interface FinderOptions {
  node: Libp2pNode
  host: Host
  members: Members
  /** Whether all members that are known are connected. */
  isComplete(): boolean
  tasks: Background
  clock: Clock
  metrics: Metrics
}

const foundMs = 5000
const notFoundMs = 500
/** A hung member delays the "nobody has it" by this; a busy one answers behind all that its uplink has to carry. */
const haveTimeoutMs = 6000
const dhtTimeoutMs = 2000
/** How long the DHT waits for members that are asked, where it can hardly know of any other. */
export const headStartMs = 200
const maxLookups = 4096
/** Who answers first may be one who lies, under any number of names; so all who are asked are heard. */
const maxProviders = 256

class Lookup {
  readonly providers: string[] = []
  readonly #startedMs: number
  #expiresMs = Number.POSITIVE_INFINITY
  #done = false
  #next = Promise.withResolvers<void>()

  constructor(startedMs: number) {
    this.#startedMs = startedMs
  }

  /** Resolves when it has found one more, or has ended. */
  change(): Promise<void> {
    return this.#next.promise
  }

  found(peer: string): void {
    if (this.providers.length >= maxProviders || this.providers.includes(peer)) return
    this.providers.push(peer)
    this.#advance()
  }

  /** The first time counts. */
  end(expiresMs: number): void {
    if (this.#done) return
    this.#done = true
    this.#expiresMs = expiresMs
    this.#advance()
  }

  /** Members that had nothing when they were asked may have it by now, also while others are still waited for. */
  isFresh(nowMs: number): boolean {
    const isEmpty = this.providers.length === 0
    return nowMs < this.#expiresMs && !(isEmpty && nowMs - this.#startedMs >= notFoundMs)
  }

  async *read(signal: AbortSignal | undefined): AsyncGenerator<string, void, undefined> {
    const yielded = new Set<string>()
    while (true) {
      const peer = this.providers.find((provider) => !yielded.has(provider))
      if (peer !== undefined) {
        yielded.add(peer)
        yield peer
      } else if (this.#done) return
      else await unlessAborted(this.#next.promise, signal)
    }
  }

  #advance(): void {
    const { resolve } = this.#next
    this.#next = Promise.withResolvers()
    resolve()
  }
}

export function createFinder(options: FinderOptions): Finder {
  const { node, host, members, isComplete, tasks, clock, metrics } = options
  const lookups = new Map<string, Lookup>()

  const hasIt = async (peer: string, wanted: Wanted): Promise<boolean> => {
    const signal = AbortSignal.any([tasks.signal, AbortSignal.timeout(haveTimeoutMs)])
    try {
      const channel = await host.open(peer, haveProtocol, { maxFrameBytes: maxMessageBytes, signal })
      try {
        await channel.send(wantedMessage.encode(wanted), { signal })
        const answer = await channel.receive({ signal })
        return answer !== undefined && haveMessage.decode(answer).have === 'yes'
      } finally {
        tasks.start('close', async () => await channel.close())
      }
    } catch {
      // Whatever went wrong with one peer, it is no provider; the look-up goes on with the others.
      metrics.count('shoal_swarm_have_failed_total')
      return false
    }
  }

  const run = async (lookup: Lookup, wanted: Wanted): Promise<void> => {
    const asked = new Map<string, Promise<void>>()
    const ask = (peer: string): void => {
      if (asked.has(peer) || asked.size >= maxProviders) return
      asked.set(
        peer,
        hasIt(peer, wanted).then((yes) => {
          if (yes) lookup.found(peer)
        }),
      )
    }
    for (const peer of members.peers()) ask(peer)
    if (isComplete()) await headStart(lookup, [...asked.values()])
    // Who holds it and is connected was asked; a search costs the cluster as much as asking all of it.
    if (lookup.providers.length === 0 || !isComplete()) await searchDht(wanted.digest, ask)
    await Promise.all(asked.values())
    const found = lookup.providers.length > 0
    metrics.count('shoal_dht_lookups_total', { found: String(found) })
    lookup.end(clock.now() + foundMs)
  }

  const headStart = async (lookup: Lookup, asked: Promise<void>[]): Promise<void> => {
    const over = new AbortController()
    const signal = AbortSignal.any([tasks.signal, over.signal])
    const waited = clock.sleep(headStartMs, { signal }).catch(() => undefined)
    await Promise.race([lookup.change(), Promise.all(asked), waited])
    over.abort()
  }

  const searchDht = async (digest: Digest, onProvider: (peer: string) => void): Promise<void> => {
    const signal = AbortSignal.any([tasks.signal, AbortSignal.timeout(dhtTimeoutMs)])
    metrics.count('shoal_dht_searches_total')
    try {
      for await (const event of node.services.dht.findProviders(cidOf(digest), { signal })) {
        if (event.name !== 'PROVIDER') continue
        for (const { id } of event.providers) {
          if (!id.equals(node.peerId)) onProvider(id.toString())
        }
      }
    } catch {
      // A search that runs out of time has found what it found.
      metrics.count('shoal_dht_searches_failed_total')
    }
  }

  const keyOf = ({ repository, digest }: Wanted): string => `${repository}@${digest}`

  const current = (wanted: Wanted): Lookup => {
    const key = keyOf(wanted)
    const known = lookups.get(key)
    if (known?.isFresh(clock.now()) === true) return known
    lookups.delete(key)
    // In order of their start, so that what has expired is at the front, or soon will be.
    for (const [old, lookup] of lookups) {
      if (lookups.size < maxLookups && lookup.isFresh(clock.now())) break
      lookups.delete(old)
    }
    const lookup = new Lookup(clock.now())
    lookups.set(key, lookup)
    tasks.start('lookup', async () => {
      try {
        await run(lookup, wanted)
      } finally {
        // One that failed is shared no more.
        lookup.end(clock.now())
      }
    })
    return lookup
  }

  return {
    find: (wanted, { signal } = {}) => current(wanted).read(signal),
    forget(wanted, peer) {
      const providers = lookups.get(keyOf(wanted))?.providers
      const index = providers?.indexOf(peer) ?? -1
      if (index >= 0) providers?.splice(index, 1)
    },
  }
}

/** How a digest is named in the DHT: a raw-codec CID, whose multihash is the key. */
export function cidOf(digest: Digest): CID {
  const code = algorithmOf(digest) === 'sha512' ? 0x13 : 0x12
  return CID.createV1(0x55, createMultihash(code, Buffer.from(hexOf(digest), 'hex')))
}

async function unlessAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted()
  if (signal === undefined) return await promise
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort)
  try {
    await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

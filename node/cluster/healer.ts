/** Brings anew from other members what turned out to be wrong here. */
import { Background, type Clock, isKnownState, type Logger, logFailure } from '../../src/base/base.ts'
import type { Exchange } from '../../src/exchange/exchange.ts'
import type { Digest } from '../../src/oci/oci.ts'
import type { Names } from '../../src/records/records.ts'
import { type Elsewhere, keepManifest } from '../../src/registry/registry.ts'
import { type FileStore, isReadFault } from '../../src/store/store.ts'

export interface HealerOptions {
  store: Pick<
    FileStore,
    | 'onQuarantined'
    | 'onUnreadable'
    | 'verifyBlob'
    | 'setAside'
    | 'listAside'
    | 'takeBack'
    | 'links'
    | 'manifests'
  >
  names: Pick<Names, 'findManifest'>
  providers: { announce(digest: Digest): void; withdraw(digest: Digest): void }
  exchange: Pick<Exchange, 'changed' | 'fetch'>
  elsewhere: Pick<Elsewhere, 'fetchManifest' | 'announce' | 'prefetch'>
  clock: Clock
  logger: Logger
}

export interface Healer extends AsyncDisposable {
  /** A member or the disk says that the blob is wrong here. */
  suspect(digest: Digest): void
}

/** `tries` is how often it could not be read, or nothing could be written. */
interface Ill {
  kind: 'blob' | 'manifest' | 'suspect' | 'aside'
  digest: Digest
  tries: number
  /** Where a blob lies that could not be read again and again. */
  path?: string
}

/** After the first try; it doubles with each. */
const pauseMs = 5_000
const longestPauseMs = 3_600_000

/** What is more than this is brought when somebody asks for it. */
const maxWaiting = 10_000

export function openHealer(options: HealerOptions): Healer {
  const { store, names, providers, exchange, elsewhere, clock, logger } = options
  const background = new Background('the healer', logger)
  /** One after the other: a disk that fails has much to heal, and clients come first. */
  const waiting = new Map<string, Ill>()
  /** What is looked at again after a pause, however often it is suspected meanwhile. */
  const pausing = new Set<Digest>()
  let isRunning = false

  function add(ill: Ill): void {
    if (waiting.size >= maxWaiting) return
    waiting.set(`${ill.kind} ${ill.digest}`, ill)
    if (isRunning) return
    isRunning = true
    background.start('heal', async (signal) => {
      try {
        for (const [key, next] of waiting) {
          signal.throwIfAborted()
          // Before: what is added while it is being healed is to be looked at again.
          waiting.delete(key)
          await heal(next, signal)
        }
      } finally {
        isRunning = false
      }
    })
  }

  async function heal(ill: Ill, signal: AbortSignal): Promise<void> {
    const { kind, digest } = ill
    try {
      if (kind === 'suspect') await check(ill)
      else if (ill.path !== undefined) await lookFor(ill, ill.path, signal)
      else {
        const isHealed = await (kind === 'blob' ? bringBlob(digest, signal) : bringManifest(digest, signal))
        if (isHealed) logger.info({ kind, digest }, 'what rotted was brought anew from other members')
        else logger.error({ kind, digest }, 'what rotted is in quarantine, and no member gives another copy')
      }
    } catch (error) {
      if (signal.aborted) return
      logFailure(logger, error, 'what rotted could not be mended', { kind, digest })
      // A full disk takes it once there is room.
      if (isKnownState(error)) later(ill)
    }
  }

  function later(ill: Ill): void {
    pausing.add(ill.digest)
    background.start('look again', async (signal) => {
      await clock.sleep(Math.min(pauseMs * 2 ** ill.tries, longestPauseMs), { signal })
      pausing.delete(ill.digest)
      add({ ...ill, tries: ill.tries + 1 })
    })
  }

  async function check(ill: Ill): Promise<void> {
    const { digest, tries } = ill
    let isRight: boolean
    try {
      isRight = await store.verifyBlob(digest)
    } catch (error) {
      // What the disk does not give after a pause either may as well come from a member.
      const path = tries > 0 && isReadFault(error) ? await store.setAside(digest) : undefined
      if (path !== undefined) return later({ kind: 'aside', digest, path, tries: 0 })
      // Not read is not wrong: nobody is given it until it was looked at.
      logger.warn({ err: error, digest, tries }, 'a blob cannot be read, and is looked at again later')
      later(ill)
      return
    }
    // The disk gave other bytes once, and the right ones again: without a word it would never be served again.
    exchange.changed(digest)
    if (isRight) providers.announce(digest)
  }

  /** The file that could not be read may be the only copy, so it is tried as well as members. */
  async function lookFor(ill: Ill, path: string, signal: AbortSignal): Promise<void> {
    const { digest } = ill
    if (!(await store.takeBack(digest, path)) && !(await bringBlob(digest, signal))) return later(ill)
    exchange.changed(digest)
    providers.announce(digest)
    logger.info({ digest }, 'what could not be read is here again')
  }

  async function bringBlob(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const repository = await store.links.anyRepository(digest)
    return repository !== undefined && (await exchange.fetch({ repository, digest }, { signal }))
  }

  async function bringManifest(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const repository = await store.links.anyRepository(digest)
    if (repository === undefined) return false
    const entry = await names.findManifest(repository, digest)
    if (entry === undefined) return false
    const bytes = await elsewhere.fetchManifest(repository, digest, { signal })
    if (bytes === undefined) return false
    await keepManifest({ store, elsewhere }, repository, { ...entry, bytes })
    return true
  }

  const suspect = (digest: Digest): void => {
    if (!pausing.has(digest)) add({ kind: 'suspect', digest, tries: 0 })
  }
  const forget = store.onUnreadable(suspect)
  const unsubscribe = store.onQuarantined(({ kind, digest }) => {
    providers.withdraw(digest)
    if (kind === 'blob') exchange.changed(digest)
    add({ kind, digest, tries: 0 })
  })
  // A restart is what a disk that comes back often takes.
  background.start('look for what was set aside before', async () => {
    for (const aside of await store.listAside()) later({ kind: 'aside', ...aside, tries: 0 })
  })
  return {
    suspect,
    async [Symbol.asyncDispose]() {
      forget()
      unsubscribe()
      await background[Symbol.asyncDispose]()
    },
  }
}

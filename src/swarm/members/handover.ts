/**
 * How members that still shake hands with a secret of before are given the newest one, and who is let go when that ends. Both
 * have to be on the authority's list: whoever came with the old secret after the rotation is given nothing, and leaves with it.
 */
import type { Background, Clock, Logger, Metrics } from '../../base/base.ts'
import type { SecretNames } from '../cluster/cluster.ts'
import { maxRotationBytes } from '../cluster/rotation.ts'
import type { ClusterSecrets } from '../cluster/secrets.ts'
import type { Host } from '../streams/host.ts'

export interface HandoverOptions {
  host: Host
  secrets: ClusterSecrets
  tasks: Background
  clock: Clock
  random: () => number
  logger: Logger
  metrics: Metrics
  isUnwelcome(peer: string): boolean
  /** Peers that are connected, with the protocols by which their connections were secured. */
  connected(): Map<string, ReadonlySet<string>>
  disconnect(peer: string): void
  /** Of secrets by which those who have an invitation shake hands. */
  invitations(): SecretNames[]
  /** Has later handshakes use these secrets, the first before the others. */
  use(names: SecretNames[]): void
}

export interface Handover {
  /** Hands the newest secret to whoever lacks it; to be called when members come. Returns at once. */
  look(): void
  /** To be called when invitations may have come or gone. */
  refresh(): void
}

export const rotationProtocol = '/shoal/rotation/1.0.0'
const withinMs = 5_000
/** While members have yet to be given a secret, or others are let in by one of before. */
const lookAgainMs = 1_000
/** Invitations that are over are let in for so long. */
const settledMs = 30_000
const taken = new Uint8Array([1])

export async function openHandover(options: HandoverOptions): Promise<Handover> {
  const { host, secrets, tasks, clock, random, logger, metrics } = options
  const { isUnwelcome, connected, disconnect, invitations, use } = options
  /** Those that are known to have the newest secret, though their connection is older. */
  let told = new Set<string>()
  const telling = new Set<string>()
  let used = { now: '', all: '' }

  const refresh = (): void => {
    const names = secrets.names()
    const [now, all] = [listOf(names), listOf([...names, ...invitations()])]
    if (all !== used.all) use([...names, ...invitations()])
    if (now !== used.now && used.now !== '')
      logger.info({ secrets: names.length }, 'the secrets that members are met with have changed')
    used = { now, all }
  }

  const tell = async (peer: string, signed: Uint8Array, stop: AbortSignal): Promise<void> => {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(withinMs)])
    try {
      const channel = await host.open(peer, rotationProtocol, { maxFrameBytes: maxRotationBytes, signal })
      await channel.send(signed, { signal })
      const answer = await channel.receive({ signal })
      await channel.close()
      if (answer?.[0] === taken[0] && secrets.rotation()?.signed === signed) told.add(peer)
    } catch (error) {
      if (!stop.aborted) logger.debug({ err: error, peer }, 'a member could not be given the new secret yet')
    } finally {
      telling.delete(peer)
    }
  }

  /** Those who are not known to have the newest secret. */
  const lacking = (): [string, ReadonlySet<string>][] => {
    const protocol = secrets.names()[0]?.protocol ?? ''
    return [...connected()].filter(([peer, protocols]) => !protocols.has(protocol) && !told.has(peer))
  }
  metrics.gauge('shoal_swarm_connected_without_newest_secret', () => lacking().length)

  const look = (): void => {
    const [newest, ...earlier] = secrets.names()
    if (newest === undefined) return
    const good = new Set([newest, ...earlier, ...invitations()].map(({ protocol }) => protocol))
    const rotation = secrets.rotation()
    const rivals = secrets.rivals()
    const isHeir = (peer: string, protocols: ReadonlySet<string>): boolean =>
      rotation?.members.has(peer) === true || !protocols.isDisjointFrom(rivals)
    for (const [peer, protocols] of lacking()) {
      if (protocols.isDisjointFrom(good)) {
        logger.info({ peer }, 'parted from a node that has only a secret whose time is over')
        disconnect(peer)
      } else if (
        rotation !== undefined &&
        isHeir(peer, protocols) &&
        !telling.has(peer) &&
        !isUnwelcome(peer)
      ) {
        telling.add(peer)
        tasks.start('rotation', (stop) => tell(peer, rotation.signed, stop))
      }
    }
  }

  await host.handle(
    rotationProtocol,
    { maxFrameBytes: maxRotationBytes, maxInboundPerPeer: 1 },
    async (channel, peer) => {
      const signal = AbortSignal.timeout(withinMs)
      const signed = await channel.receive({ signal })
      if (signed === undefined) return
      const isNewest = await secrets.learn(signed)
      if (isNewest) told.add(peer)
      await channel.send(isNewest ? taken : new Uint8Array([0]), { signal })
    },
  )

  const turn = async (): Promise<void> => {
    await secrets.prune()
    refresh()
    look()
  }

  let isWatching = false
  const watch = (): void => {
    const isSettled = (): boolean => secrets.names().length <= 1 && lacking().length === 0
    if (isWatching || isSettled()) return
    isWatching = true
    tasks.start('secrets', async (signal) => {
      try {
        while (!isSettled()) {
          await clock.sleep(lookAgainMs * (0.8 + 0.4 * random()), { signal })
          await turn()
        }
      } finally {
        isWatching = false
      }
    })
  }

  const unsubscribe = secrets.onRotation(() => {
    told = new Set()
    refresh()
    look()
    watch()
  })
  tasks.signal.addEventListener('abort', unsubscribe, { once: true })
  refresh()
  watch()
  tasks.every('secrets', settledMs, { clock, random }, async () => {
    watch()
    await turn()
  })
  return {
    look() {
      look()
      watch()
    },
    refresh,
  }
}

function listOf(names: SecretNames[]): string {
  return names.map(({ protocol }) => protocol).join()
}

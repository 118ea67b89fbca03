/** Keeps the node connected: dials bootstrap addresses, peers known from before, and those that were discovered or lost. */
import { peerIdFromString } from '@libp2p/peer-id'
import type { Background, Clock, Logger } from '../../base/base.ts'
import { isPeerId, parseMultiaddr, peerOf } from '../streams/addresses.ts'
import type { Libp2pNode } from '../streams/libp2p-node.ts'
import { DialTargets, type Target } from './dial-targets.ts'
import { ToldAddresses } from './told-addresses.ts'

export interface Dialer {
  /** Dials the peer soon unless it is connected; `addresses` are added to those known. */
  learn(peer: string, addresses: string[]): void
  /** Whether every member that this node knows of, or was told to find, is connected. */
  isComplete(): boolean
  /** Whether the peer closed what was opened to it, or bans this node, and the next try is not due: nobody else may dial it either. */
  isResting(peer: string): boolean
  /** Tries those again that were banned, or banned this node, because the policy has changed. */
  reconsider(): void
  /** Begins to dial. */
  start(): Promise<void>
}

export interface DialerOptions {
  node: Libp2pNode
  tasks: Background
  clock: Clock
  random: () => number
  logger: Logger
  /** Multiaddrs, with or without a peer id. */
  bootstrap: string[]
  isUnwelcome(peer: string): boolean
  /** Whether this node is banned, as far as it knows. */
  isOutcast(): boolean
}

/** The node seeks this many members by itself; others may still connect to it. */
const enoughMembers = 64
const maxDials = 8
/** Of those, for whom nobody but others spoke. */
const maxHearsayDials = 4
const dialTimeoutMs = 8000
const minuteMs = 60_000
/** A connection that ends sooner was refused. */
const refusedWithinMs = 5000
/** One that nobody but others spoke of, and that did not answer so often, is not missed. */
const missedFailures = 3

export function createDialer(options: DialerOptions): Dialer {
  const { node, tasks, clock, random, logger, bootstrap, isUnwelcome, isOutcast } = options
  /** Of peers that are connected, since when. */
  const sinceMs = new Map<string, number>()
  /** And for how long they were connected before, at most: a link that is lost again soon makes no stranger of a member. */
  const beforeMs = new Map<string, number>()
  let wake: () => void = () => undefined

  const targets = new DialTargets({
    clock,
    random,
    isOutcast,
    onForgotten: (peer) => tasks.start('forget', async () => await forget(peer)),
  })

  const told = new ToldAddresses(node.peerStore, random)

  /** What was stored of it when others spoke of it. */
  const forget = async (peer: string): Promise<void> => {
    const id = peerIdFromString(peer)
    if (!(await node.peerStore.has(id))) return
    const { protocols } = await node.peerStore.get(id)
    if (!wasMember(protocols)) await node.peerStore.delete(id)
  }

  const add = (peer: string, livedMs: number, delayMs: number): boolean => {
    const isTaken = targets.add(peer, { peer, address: undefined, livedMs }, delayMs)
    wake()
    return isTaken
  }

  const connectedMs = ({ peer }: Target): number | undefined => {
    const since = peer === undefined ? undefined : sinceMs.get(peer)
    return since === undefined ? undefined : clock.now() - since
  }

  const dial = async (target: Target): Promise<void> => {
    const signal = AbortSignal.any([tasks.signal, AbortSignal.timeout(dialTimeoutMs)])
    target.isDialling = true
    let tried: string[] = []
    try {
      const { peer, address } = target
      if (peer !== undefined) {
        // Where this node was told to look others cannot make it forget.
        if (address !== undefined) await remember(peer, [address])
        tried = await told.of(peerIdFromString(peer))
      }
      const to =
        target.peer === undefined ? parseMultiaddr(target.address ?? '') : peerIdFromString(target.peer)
      const connection = await node.dial(to, { signal })
      target.peer = connection.remotePeer.toString()
    } catch (error) {
      target.failures++
      target.tried = new Set(tried)
      const { peer, address, failures } = target
      if (failures === 1)
        logger.debug({ err: error, peer, address }, 'dialling failed; it will be tried again')
    } finally {
      target.isDialling = false
      targets.postpone(target)
    }
  }

  /** Whether the target is nothing to be dialled now; it is postponed then. */
  const isSettled = (target: Target): boolean => {
    const nowMs = clock.now()
    const forMs = connectedMs(target)
    if (forMs !== undefined) {
      target.dueMs = nowMs + (forMs < refusedWithinMs ? refusedWithinMs - forMs : minuteMs)
      if (forMs < refusedWithinMs) return true
      targets.lived(target, forMs)
      // A lost connection brings it back; a bootstrap address stays, in case everybody else is gone.
      if (target.address === undefined && target.peer !== undefined) {
        beforeMs.set(target.peer, target.livedMs)
        targets.delete(target.peer)
      }
      return true
    }
    const isBanned = target.peer !== undefined && isUnwelcome(target.peer)
    // Members cost nothing to invent: however many there are, one that was lost is sought.
    const isEnough = node.getPeers().length >= enoughMembers && target.livedMs < minuteMs
    if (!isBanned && !isEnough) return false
    target.dueMs = nowMs + minuteMs
    return true
  }

  const round = (): void => {
    const running = targets.values().filter(({ isDialling }) => isDialling)
    let free = maxDials - running.length
    let freeForHearsay = maxHearsayDials - running.filter(isHearsay).length
    const due = targets.values().filter(({ isDialling, dueMs }) => !isDialling && dueMs <= clock.now())
    due.sort((a, b) => Number(isHearsay(a)) - Number(isHearsay(b)) || a.dueMs - b.dueMs)
    for (const target of due) {
      if (free <= 0 || (isHearsay(target) && freeForHearsay <= 0)) break
      if (isSettled(target)) continue
      free--
      if (isHearsay(target)) freeForHearsay--
      tasks.start('dial', async () => {
        await dial(target)
        wake()
      })
    }
  }

  const loop = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      round()
      const waiting = targets.values().filter(({ isDialling }) => !isDialling)
      const nextMs = Math.min(clock.now() + minuteMs, ...waiting.map(({ dueMs }) => dueMs))
      const woken = new AbortController()
      wake = () => woken.abort()
      const either = AbortSignal.any([signal, woken.signal])
      try {
        await clock.sleep(Math.max(50, nextMs - clock.now()), { signal: either })
      } catch (error) {
        if (!either.aborted) throw error
      }
    }
  }

  const left = (peer: string): void => {
    const forMs = clock.now() - (sinceMs.get(peer) ?? clock.now())
    const livedMs = Math.max(forMs, beforeMs.get(peer) ?? 0)
    sinceMs.delete(peer)
    beforeMs.delete(peer)
    const known = targets.of(peer)
    if (forMs >= refusedWithinMs) {
      for (const target of known) targets.lived(target, forMs)
      add(peer, livedMs, 200 + 800 * random())
      return
    }
    for (const target of known) {
      target.failures++
      target.refusals++
      targets.postpone(target)
    }
    if (known.length === 0 && !isUnwelcome(peer)) add(peer, 0, 1000 + 1000 * random())
    wake()
  }

  node.addEventListener('peer:connect', ({ detail }) => sinceMs.set(detail.toString(), clock.now()))
  node.addEventListener('peer:disconnect', ({ detail }) => left(detail.toString()))
  node.addEventListener('peer:discovery', ({ detail }) => {
    if (detail.multiaddrs.length > 0) add(detail.id.toString(), 0, 50 * random())
  })

  const remember = (peer: string, addresses: string[]): Promise<void> =>
    told.add(peerIdFromString(peer), addresses, targets.get(peer)?.tried ?? new Set())

  return {
    learn(peer, addresses) {
      if (peer === node.peerId.toString() || sinceMs.has(peer)) return
      tasks.start('learn', async () => {
        await remember(peer, addresses)
        if (!add(peer, 0, 0)) await forget(peer)
      })
    },

    isComplete: () =>
      targets.values().every((target) => {
        const isGone = isHearsay(target) && target.failures >= missedFailures
        const isBanned = target.peer !== undefined && isUnwelcome(target.peer)
        return isGone || isBanned || connectedMs(target) !== undefined
      }),

    isResting(peer) {
      const known = targets.of(peer)
      if (known.some(({ isDialling }) => isDialling)) return false
      const nowMs = clock.now()
      return isOutcast() || known.some(({ refusals, dueMs }) => refusals > 0 && dueMs > nowMs)
    },

    reconsider() {
      if (isOutcast()) return
      targets.restart()
      wake()
    },

    async start() {
      for (const address of bootstrap) {
        const peer = peerOf(parseMultiaddr(address))
        if (peer === node.peerId.toString() || (peer !== undefined && !isPeerId(peer))) continue
        if (peer !== undefined) await remember(peer, [address])
        targets.add(address, { peer, address, livedMs: 1 }, 0)
      }
      for (const { id, addresses, protocols } of await node.peerStore.all()) {
        const peer = id.toString()
        if (addresses.length === 0 || !isPeerId(peer)) continue
        add(peer, wasMember(protocols) ? 1 : 0, 300 * random())
      }
      tasks.start('dialer', loop)
    },
  }
}

/** Whether nobody but others spoke of it. */
function isHearsay({ livedMs }: Target): boolean {
  return livedMs === 0
}

/** Only whoever was connected has told what it speaks. */
function wasMember(protocols: string[]): boolean {
  return protocols.length > 0
}

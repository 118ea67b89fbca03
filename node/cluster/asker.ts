/** Asks the other members for a name that is unknown here. */
import { type Clock, type Logger, SingleFlight, unlessAborted } from '../../src/base/base.ts'
import {
  askedFor,
  askRecords,
  type ChangedKey,
  type Ledger,
  type RecordKey,
} from '../../src/records/records.ts'
import type { Asked } from '../../src/registry/registry.ts'
import type { Swarm } from '../../src/swarm/swarm.ts'
import { ChannelPool } from './channel-pool.ts'
import { Doubt } from './doubt.ts'
import { askLimits, askProtocol } from './protocols.ts'

export interface Asker {
  /** Resolves when the name is known here, when nobody knows it, or when there was time enough. `name` is the key's text. */
  ask(key: RecordKey, name: string): Promise<Asked>
  /** Just after a start, waits for the first member, where any is known: before that nobody can be asked. */
  met(options?: { signal?: AbortSignal }): Promise<void>
}

/** How long a name that is unknown here may delay its 404, where others have answered. */
const askWithinMs = 300
/** How long a member is waited for that has always answered, and all of them where none has answered yet. */
const patienceMs = 3_000
/** Patience that was in vain is not had again so soon, whoever is silent then: any member can be, and keys cost nothing. */
const restMs = 30_000
/** One that was silent so often in a row is as good as gone. */
const maxSilences = 3
/** By then a node that starts has met a member, where it knows of any that is there. */
const settleMs = 5_000
/** How long "nobody knows it" is believed. */
const unknownMs = 500
const maxUnknown = 10_000
const maxAsked = 16
/** What was just pushed elsewhere is on its way by gossip, which costs nobody an answer. */
const gossipMs = 20
/** What exists is known to most, so a few are asked before all the others have to answer. */
const askedFirst = 2
const othersAfterMs = 40

type Said = 'has it' | 'has it not' | 'nothing'

export function createAsker(names: Ledger, swarm: Swarm, clock: Clock, logger: Logger): Asker {
  const asks = new SingleFlight<Asked>()
  const unknown = new Map<string, { untilMs: number; asked: Asked }>()
  const pool = new ChannelPool((peer, options) => swarm.open(peer, askProtocol, { ...askLimits, ...options }))
  /** Of those that were asked, how often in a row each was silent, and when it answered last. */
  const manners = new Map<string, { silences: number; answeredMs?: number }>()
  let restUntilMs = Number.NEGATIVE_INFINITY
  const startedMs = clock.now()
  const doubt = new Doubt(startedMs)

  async function askAround(key: RecordKey, name: string): Promise<Asked> {
    const arrived = Promise.withResolvers<'arrived'>()
    const unsubscribe = names.onChange((keys) => {
      if (keys.some((changed) => isSame(changed, key))) arrived.resolve('arrived')
    })
    const over = new AbortController()
    const after = (ms: number): Promise<undefined> => sleep(ms, over.signal)
    try {
      await settle(after)
      if ((await Promise.race([arrived.promise, after(gossipMs)])) === 'arrived') return undefined
      const found = await Promise.race([arrived.promise, askMembers(key, after)])
      if (found === 'arrived' || found === 'has it') return undefined
      const isSilent = found === 'nothing' && doubt.isAllowed(clock.now())
      const asked = isSilent || (await isMeeting()) ? 'silence' : undefined
      remember(name, asked)
      return asked
    } finally {
      over.abort(new Error('it was answered'))
      unsubscribe()
    }
  }

  /** Waits for the first member after a start; a node that has met none by then is alone, and what it has is all there is. */
  async function settle(after: (ms: number) => Promise<undefined>): Promise<void> {
    const { members } = swarm
    const leftMs = startedMs + settleMs - clock.now()
    if (members.peers().length > 0 || !(await isMeeting())) return
    const met = Promise.withResolvers<void>()
    const unsubscribe = members.onChange(({ kind }) => {
      if (kind === 'join') met.resolve()
    })
    try {
      await Promise.race([met.promise, after(leftMs)])
    } finally {
      unsubscribe()
    }
  }

  /** Just after a start there are members that it has not met yet: what others say is not all that the cluster knows. */
  async function isMeeting(): Promise<boolean> {
    return clock.now() < startedMs + settleMs && (await swarm.members.missing()).length > 0
  }

  /**
   * The first member that knows it is enough: what is newer comes by gossip and repair. That nobody does is known where those
   * have said so that are known to answer.
   */
  async function askMembers(key: RecordKey, after: (ms: number) => Promise<undefined>): Promise<Said> {
    const peers = shuffled(swarm.members.peers()).slice(0, maxAsked)
    const before = new Map(peers.map((peer) => [peer, manners.get(peer)]))
    const heard = new Map<string, Said>()
    const ask = (peer: string): Promise<void> =>
      askMember(peer, key).then((said) => {
        heard.set(peer, said)
        if (said === 'has it') found.resolve(said)
      })
    const found = Promise.withResolvers<'has it'>()
    const first = peers.slice(0, askedFirst).map(ask)
    if ((await Promise.race([found.promise, Promise.all(first), after(othersAfterMs)])) === 'has it')
      return 'has it'
    const all = Promise.all([...first, ...peers.slice(askedFirst).map(ask)])
    const heardAll = all.then(() => undefined)
    if ((await Promise.race([found.promise, heardAll, after(askWithinMs - othersAfterMs)])) === 'has it')
      return 'has it'

    const hasSaid = (peer: string): boolean => (heard.get(peer) ?? 'nothing') !== 'nothing'
    /** One that never answered may be no member worth the name, where another has. */
    const mayKnow = (peer: string): boolean => {
      const known = before.get(peer)
      if (hasSaid(peer) || (known?.answeredMs === undefined && peers.some(hasSaid))) return false
      return (known?.silences ?? 0) < maxSilences
    }
    const isOwed = (peer: string): boolean =>
      mayKnow(peer) &&
      (!peers.some(hasSaid) || (before.get(peer)?.silences === 0 && clock.now() >= restUntilMs))
    const owed = peers.filter(isOwed)
    if (owed.length > 0) {
      if ((await Promise.race([found.promise, heardAll, after(patienceMs - askWithinMs)])) === 'has it')
        return 'has it'
      if (!owed.every(hasSaid)) restUntilMs = clock.now() + restMs
    }
    return owed.every(hasSaid) && !peers.some(mayKnow) ? 'has it not' : 'nothing'
  }

  async function askMember(peer: string, key: RecordKey): Promise<Said> {
    const over = new AbortController()
    const late = new AbortController()
    const before = manners.get(peer)?.silences ?? 0
    const askedMs = clock.now()
    const waited = sleep(before < maxSilences ? patienceMs : askWithinMs, over.signal).then(() =>
      late.abort(new Error('it did not answer')),
    )
    try {
      const { signal } = late
      const records = await pool.use(peer, (channel) => askRecords(channel, [key], { signal }), { signal })
      const { blame } = await names.apply(records, { wanted: askedFor([key], records) })
      if (blame !== undefined) swarm.penalise(peer, 'invalid-message')
      keepWithin(manners, peer).set(peer, { silences: 0, answeredMs: clock.now() })
      return records.length > 0 ? 'has it' : 'has it not'
    } catch (error) {
      logger.debug({ err: error, peer, key }, 'a member did not answer')
      const known = manners.get(peer)
      // Of questions that were asked at once the silence is one, and an answer to a later one is its end.
      if (known?.answeredMs === undefined || known.answeredMs < askedMs) {
        const silences = Math.max(known?.silences ?? 0, before + 1)
        keepWithin(manners, peer).set(peer, { ...known, silences })
      }
      return 'nothing'
    } finally {
      over.abort(new Error('it was answered'))
      await waited
    }
  }

  /** Resolves early when it is over. */
  async function sleep(ms: number, signal: AbortSignal): Promise<undefined> {
    try {
      await clock.sleep(ms, { signal })
    } catch (error) {
      if (!signal.aborted) throw error
    }
    return undefined
  }

  function remember(name: string, asked: Asked): void {
    unknown.delete(name)
    keepWithin(unknown, name).set(name, { untilMs: clock.now() + unknownMs, asked })
  }

  return {
    async ask(key, name) {
      const known = unknown.get(name)
      if (known !== undefined && known.untilMs > clock.now()) return known.asked
      return await asks.run(name, () => askAround(key, name))
    },
    async met({ signal } = {}) {
      const over = new AbortController()
      try {
        await unlessAborted(
          settle((ms) => sleep(ms, over.signal)),
          signal,
        )
      } finally {
        over.abort(new Error('it is over'))
      }
    },
  }
}

/** The same, with room for `key`. */
function keepWithin<T>(remembered: Map<string, T>, key: string): Map<string, T> {
  const [oldest] = remembered.keys()
  if (remembered.size >= maxUnknown && oldest !== undefined && !remembered.has(key)) remembered.delete(oldest)
  return remembered
}

function isSame(changed: ChangedKey, key: RecordKey): boolean {
  if (!('repository' in changed && 'repository' in key) || changed.repository !== key.repository) return false
  return changed.kind === 'tag'
    ? key.kind === 'tag' && changed.tag === key.tag
    : key.kind === 'manifest' && changed.digest === key.digest
}

function shuffled<T>(items: T[]): T[] {
  return items
    .map((item) => ({ item, rank: Math.random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}

/** Asks the other members for a name that is unknown here. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Logger, SingleFlight } from '../../src/base/base.ts'
import {
  askedFor,
  askRecords,
  type ChangedKey,
  type Ledger,
  type RecordKey,
} from '../../src/records/records.ts'
import type { Swarm } from '../../src/swarm/swarm.ts'
import { ChannelPool } from './channel-pool.ts'
import { askLimits, askProtocol } from './protocols.ts'

export interface Asker {
  /** Resolves when the name is known here, when nobody knows it, or when there was time enough. `name` is the key's text. */
  ask(key: RecordKey, name: string): Promise<void>
}

/** How long a name that is unknown here may delay its 404. */
const askTimeoutMs = 300
/** How long "nobody knows it" is believed. */
const unknownMs = 500
const maxUnknown = 10_000
const maxAsked = 16
/** What was just pushed elsewhere is on its way by gossip, which costs nobody an answer. */
const gossipMs = 20
/** What exists is known to most, so a few are asked before all the others have to answer. */
const askedFirst = 2
const patienceMs = 40

export function createAsker(names: Ledger, swarm: Swarm, logger: Logger): Asker {
  const asks = new SingleFlight<void>()
  const unknown = new Map<string, number>()
  const pool = new ChannelPool((peer, options) => swarm.open(peer, askProtocol, { ...askLimits, ...options }))

  async function askAround(key: RecordKey, name: string): Promise<void> {
    const arrived = Promise.withResolvers<boolean>()
    const unsubscribe = names.onChange((keys) => {
      if (keys.some((changed) => isSame(changed, key))) arrived.resolve(true)
    })
    try {
      if (await Promise.race([arrived.promise, delay(gossipMs, false, { ref: false })])) return
      if (!(await Promise.race([arrived.promise, askMembers(key)]))) remember(name)
    } finally {
      unsubscribe()
    }
  }

  /** The first member that knows it is enough: what is newer comes by gossip and repair. */
  async function askMembers(key: RecordKey): Promise<boolean> {
    const signal = AbortSignal.timeout(askTimeoutMs)
    const peers = shuffled(swarm.members.peers()).slice(0, maxAsked)
    const first = peers.slice(0, askedFirst).map((peer) => askMember(peer, key, signal))
    const patience = delay(patienceMs, false, { ref: false })
    if (await Promise.race([anyTrue(first), patience])) return true
    const others = peers.slice(askedFirst).map((peer) => askMember(peer, key, signal))
    return anyTrue([...first, ...others])
  }

  async function askMember(peer: string, key: RecordKey, signal: AbortSignal): Promise<boolean> {
    try {
      const records = await pool.use(peer, (channel) => askRecords(channel, [key], { signal }), { signal })
      const { blame } = await names.apply(records, { wanted: askedFor([key], records) })
      if (blame !== undefined) swarm.penalise(peer, 'invalid-message')
      return records.length > 0
    } catch (error) {
      logger.debug({ err: error, peer, key }, 'a member did not answer')
      return false
    }
  }

  function remember(name: string): void {
    unknown.delete(name)
    unknown.set(name, performance.now() + unknownMs)
    const [oldest] = unknown.keys()
    if (unknown.size > maxUnknown && oldest !== undefined) unknown.delete(oldest)
  }

  return {
    async ask(key, name) {
      const until = unknown.get(name)
      if (until === undefined || until <= performance.now()) await asks.run(name, () => askAround(key, name))
    },
  }
}

function isSame(changed: ChangedKey, key: RecordKey): boolean {
  if (changed.kind === 'policy' || key.kind === 'policy' || changed.repository !== key.repository)
    return false
  return changed.kind === 'tag'
    ? key.kind === 'tag' && changed.tag === key.tag
    : key.kind === 'manifest' && changed.digest === key.digest
}

/** As soon as one is true, or false once all are. */
function anyTrue(answers: Promise<boolean>[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    for (const answer of answers) answer.then((yes) => yes && resolve(true), reject)
    Promise.all(answers).then(() => resolve(false), reject)
  })
}

function shuffled<T>(items: T[]): T[] {
  return items
    .map((item) => ({ item, rank: Math.random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}

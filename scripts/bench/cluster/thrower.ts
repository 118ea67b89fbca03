/**
 * A member that throws what no honest one would: a program of its own, told what to do by one JSON argument. It has the
 * token, learns the records that there are, waits for a message, then throws; cut off, it comes back as somebody else,
 * until it has thrown as many as it was told to.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Level } from 'level'
import { reconcileLimits, reconcileProtocol } from '../../../node/cluster/protocols.ts'
import { digestBytes, parseRepository, parseTag } from '../../../src/oci/oci.ts'
import { messages } from '../../../src/records/reconcile-messages.ts'
import { decodeRecord, recordDomain, signRecord } from '../../../src/records/record.ts'
import { openLedger, reconcile } from '../../../src/records/records.ts'
import { joinCluster, openIdentity, openSwarm, type Swarm } from '../../../src/swarm/swarm.ts'
import { bytes, codec, type Identity, list, seal } from '../../../src/wire/wire.ts'

export interface ThrowerOrder {
  folder: string
  token: string
  /** The peer id of the node that it throws at. */
  target: string
  count: number
}

export type ThrowerReport =
  | { kind: 'learned'; records: number }
  | {
      kind: 'thrown'
      count: number
      /** How often it was cut off, and how many records it had thrown before the first time. */
      cuts: number
      beforeFirstCut: number
      firstCutMs: number
    }

const order = JSON.parse(process.argv[2] ?? '') as ThrowerOrder
const { target } = order
const gossipCodec = codec(list(bytes({ max: 65_536 }), { max: 1024 }), { maxBytes: 256 * 1024 })
const batch = 500
const connectMs = 20_000

class Member implements AsyncDisposable {
  readonly identity: Identity
  readonly swarm: Swarm
  #isCutOff = false
  readonly #stack: AsyncDisposableStack

  private constructor(identity: Identity, swarm: Swarm, stack: AsyncDisposableStack) {
    this.identity = identity
    this.swarm = swarm
    this.#stack = stack
    swarm.members.onChange(({ kind, peer }) => {
      if (kind === 'leave' && peer === target) this.#isCutOff = true
    })
  }

  /** The node has closed the connection once; it may be open for moments when it is dialled again. */
  get isCutOff(): boolean {
    return this.#isCutOff
  }

  static async open(): Promise<Member> {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(path.join(order.folder, 'member-'))
    const level = new Level<string, Uint8Array>(path.join(folder, 'db'), { valueEncoding: 'view' })
    await level.open()
    stack.defer(async () => await level.close())
    const identity = await openIdentity(folder)
    const swarm = stack.use(
      await openSwarm({
        identity,
        cluster: await joinCluster(folder, order.token),
        database: level.sublevel<string, Uint8Array>('swarm', { valueEncoding: 'view' }),
        listen: { host: '127.0.0.1', port: 0 },
        mdns: false,
      }),
    )
    await swarm.start()
    const member = new Member(identity, swarm, stack.move())
    const deadline = Date.now() + connectMs
    while (!swarm.members.peers().includes(target) && Date.now() < deadline) await delay(10)
    return member
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

/** What there is now, to be thrown again when it is old. */
async function learn(member: Member): Promise<Uint8Array[]> {
  await using stack = new AsyncDisposableStack()
  const level = new Level(path.join(order.folder, 'learned'))
  await level.open()
  stack.defer(async () => await level.close())
  const { identity } = member
  const ledger = stack.use(await openLedger({ db: level, identity, authority: identity.publicKey }))
  const channel = await member.swarm.open(target, reconcileProtocol, reconcileLimits)
  await reconcile(channel, ledger)
  const learned: Uint8Array[] = []
  const positions = await ledger.positions()
  for await (const { key } of positions.under('')) learned.push(...(await positions.getSigned([key])))
  return learned
}

type Make = (member: Member, learned: Uint8Array[], index: number) => Uint8Array

const repository = parseRepository('bench/thrown')
const value = { digest: digestBytes(Buffer.from('nothing'), 'sha256'), mediaType: 'text/plain', size: 7 }

function tagBody(index: number, ms: number) {
  return {
    kind: 'tag' as const,
    key: `${repository}:${parseTag(`t${index}`)}`,
    time: [ms, 0] as [number, number],
    value,
  }
}

const replayed: Make = (_member, learned, index) => learned[index % learned.length] ?? new Uint8Array()

/** Newer than what stands and in its author's name: only its signature says that it is not. */
const forged: Make = (member, learned, index) => {
  const { envelope, body } = decodeRecord(replayed(member, learned, index))
  const victim = { ...member.identity, publicKey: envelope.author }
  if (body.kind !== 'tag') return seal(recordDomain, envelope.body, victim)
  const mine = signRecord({ ...body, time: [Date.now(), index % 1000] }, member.identity)
  return seal(recordDomain, mine.envelope.body, victim)
}

const malformed: Make = () => randomBytes(200)

const farAhead: Make = (member, _learned, index) =>
  signRecord(tagBody(index, Date.now() + 24 * 3600_000), member.identity).envelope.bytes

const policy: Make = (member, _learned, index) =>
  signRecord(
    {
      kind: 'policy',
      key: '',
      time: [Date.now(), index % 1000],
      value: { rules: [], immutable: [], banned: [] },
    },
    member.identity,
  ).envelope.bytes

const makers = [replayed, forged, malformed, farAhead, policy]

async function gossip(member: Member, records: Uint8Array[]): Promise<void> {
  await member.swarm.spread.publish(gossipCodec.encode(records))
}

/** Says hello, then gives what nobody asked for. */
async function offer(member: Member, records: Uint8Array[]): Promise<void> {
  const signal = AbortSignal.timeout(5000)
  const channel = await member.swarm.open(target, reconcileProtocol, { ...reconcileLimits, signal })
  const root = new Uint8Array(32)
  const hello = {
    type: 'hello' as const,
    version: 1,
    now: Date.now(),
    total: 1,
    root,
    policy: new Uint8Array(),
  }
  await channel.send(messages.encode(hello), { signal })
  await channel.receive({ signal })
  await channel.send(messages.encode({ type: 'records', records }), { signal })
  await channel.send(messages.encode({ type: 'over' }), { signal })
  // The answer, or the end of the channel, says that they were looked at.
  await channel.receive({ signal })
  channel.abort(new Error('enough'))
}

async function throwAll(learned: Uint8Array[]): Promise<ThrowerReport> {
  let count = 0
  let cuts = 0
  let beforeFirstCut = order.count
  let firstCutMs = 0
  const start = performance.now()
  for (let turn = 0; count < order.count; turn++) {
    await using member = await Member.open()
    // Gossip reaches only those whose subscription has been heard of.
    await delay(1500)
    for (let round = 0; !member.isCutOff && count < order.count; round++) {
      const make = makers[(turn + Math.floor(round / 20)) % makers.length] ?? replayed
      const records = Array.from({ length: batch }, (_, index) => make(member, learned, count + index))
      try {
        await (round % 2 === 0 ? gossip(member, records) : offer(member, records))
      } catch {
        // It is being cut off, or turned away for so many channels: what matters is what the node accepts.
      }
      count += batch
    }
    if (!member.isCutOff) break
    cuts++
    if (cuts > 1) continue
    beforeFirstCut = count
    firstCutMs = performance.now() - start
  }
  return { kind: 'thrown', count, cuts, beforeFirstCut, firstCutMs }
}

const report = (message: ThrowerReport): void => void process.send?.(message)
const learner = await Member.open()
const learned = await learn(learner)
await learner[Symbol.asyncDispose]()
report({ kind: 'learned', records: learned.length })
await new Promise((resolve) => process.once('message', resolve))
report(await throwAll(learned))
process.disconnect?.()

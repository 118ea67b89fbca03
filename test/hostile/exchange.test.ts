/** What a member can do to those that fetch a blob beside it, or from whom it fetches, over real connections. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Background, silentLogger, steadyClock } from '../../src/base/base.ts'
import { openDirect } from '../../src/exchange/peer/direct.ts'
import { decodeFrame, encodeMessage, type Move } from '../../src/exchange/protocol/messages.ts'
import { encodeData } from '../../src/exchange/protocol/raw-frames.ts'
import { type Digest, digestBytes, mediaTypes, parseRepository } from '../../src/oci/oci.ts'
import { createSeed } from '../../src/swarm/cluster/key-file.ts'
import { type BatchChannel, identityFromSeed } from '../../src/wire/wire.ts'
import type { DoubleOptions } from '../exchange/lab/double.ts'
import { pieceBytes, pieceHashes, someBytes } from '../exchange/lab/fixture.ts'
import { until } from '../swarm/fixture.ts'
import { type HonestNode, openHonestCluster } from './honest-node.ts'
import { type HostileMember, openHostileMember } from './member.ts'
import { openExchange, seedBy } from './seeder.ts'

const repository = parseRepository('team/app')

let stack: AsyncDisposableStack
let victim: HonestNode
let holder: HonestNode
let bytes: Uint8Array
let digest: Digest
/** Whether the victim has asked the hostile seeder, so that what it does was tried. */
let wasAsked: () => boolean

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  const [first, second] = await openHonestCluster(stack, 2)
  if (first === undefined || second === undefined) throw new Error('two nodes')
  ;[victim, holder] = [first, second]
  wasAsked = () => true
  bytes = someBytes(24 * pieceBytes)
  digest = digestBytes(bytes)
})

afterEach(async () => {
  await stack.disposeAsync()
})

/** A member that the victim knows, and asks. */
async function openHostile(options: { seed?: Uint8Array; of?: HonestNode } = {}): Promise<HostileMember> {
  const { of = victim, ...rest } = options
  const hostile = await openHostileMember(stack, { cluster: of.node.membership.cluster, ...rest })
  await hostile.dial(of.address)
  await until('it to be a member', () => of.peers().includes(hostile.peer))
  return hostile
}

async function seeding(options: Partial<DoubleOptions>): Promise<void> {
  const { asked } = await seedBy(await openHostile(), { bytes, digest, ...options })
  wasAsked = () => asked.some(({ type }) => type === 'want')
}

async function hold(node: HonestNode): Promise<void> {
  await node.node.store.blobs.write(digest, inOne(bytes))
  await node.node.store.links.add(repository, [digest])
  node.member.exchange.changed(digest)
}

async function* inOne(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content
}

/** Whoever is held up by the hostile one is so for as long as the test may take. */
async function fetched(): Promise<void> {
  expect(await victim.member.elsewhere.fetchBlob(repository, digest)).toBe(true)
  expect(await victim.node.store.blobs.stat(digest)).toEqual({ size: bytes.length })
  expect(wasAsked()).toBe(true)
}

const faults = (fault: string): number => victim.counted('shoal_exchange_faults_total', { fault })

/** One byte each 350 ms, for as long as it is listened to. */
const drip: DoubleOptions['onPiece'] = async (id, piece, { channel, signal }) => {
  for (let offset = 0; !signal.aborted; offset++) {
    await channel.send(encodeData({ id, piece, offset, bytes: Uint8Array.of(1) }))
    await delay(350, undefined, { signal })
  }
}

describe('a seeder that', () => {
  it('claims 1 TiB has nobody told a size, nor a pull fail that another serves', async () => {
    await seeding({
      onWant: async (id, { channel }) => {
        await channel.send(encodeMessage({ type: 'complete', id, size: 2 ** 40 }))
      },
      onList: async () => undefined,
    })
    const told = await victim.member.elsewhere.findBlob(repository, digest, { within: 'cluster' })
    expect(told).toBeUndefined()
    await hold(holder)
    await fetched()
  })

  it('signs one false hash has no honest holder blamed, and the blob comes', async () => {
    const wrong = bytes.slice()
    wrong.set(someBytes(pieceBytes), 7 * pieceBytes)
    await seeding({ hashes: pieceHashes(wrong) })
    await hold(holder)
    await fetched()
    expect(victim.peers()).toContain(holder.peer)
    expect(victim.member.exchange.status().peers.find(({ peer }) => peer === holder.peer)?.faults).toEqual({})
  })

  it('drips does not hold up what another holds', async () => {
    await seeding({ onPiece: drip })
    await hold(holder)
    await fetched()
  })

  it('drips a manifest does not keep it from those who ask for it', async () => {
    const manifest = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] }),
    )
    const name = digestBytes(manifest)
    await seeding({ bytes: manifest, digest: name, onPiece: drip })
    const write = { repository, digest: name, bytes: manifest, references: [], required: [] }
    await holder.node.store.manifests.put(write)
    const asked = [1, 2, 3].map(() => victim.member.elsewhere.fetchManifest(repository, name))
    for (const answer of await Promise.all(asked)) expect(Buffer.from(answer ?? [])).toEqual(manifest)
    expect(wasAsked()).toBe(true)
  })
})

describe('a neighbour that', () => {
  it('floods the direct connection with empty frames is let go, and others are served', async () => {
    // Of two neighbours the one with the smaller name connects.
    let seed = createSeed()
    while (identityFromSeed(seed).peerId > victim.peer) seed = createSeed()
    const hostile = await openHostile({ seed })
    const background = stack.use(new Background('the hostile member', silentLogger))
    const direct = stack.use(await openDirect({ host: '127.0.0.1', port: 0, background, clock: steadyClock }))
    const stream = await openExchange(hostile, victim.peer)
    const mine = direct.expect()
    if (mine === undefined) throw new Error('nothing is expected yet')
    await stream.send(encodeMessage({ type: 'direct', ...mine.offer }))
    const theirs = await told(stream)
    const socket = await direct.connect('127.0.0.1', theirs, { signal: AbortSignal.timeout(30_000) })
    await stream.send(encodeMessage({ type: 'moved' }))
    const empty = Array.from({ length: 20_000 }, () => new Uint8Array())
    const flooding = (async () => {
      for (let times = 0; times < 500; times++) await socket.sendAll(empty)
    })()
    await expect(flooding).rejects.toThrow()
    await until('it to be called what it is', () => faults('protocol') > 0)
    await hold(holder)
    await fetched()
  })

  it('asks under six keys and takes nothing keeps nobody from being served', async () => {
    await hold(holder)
    for (let count = 0; count < 6; count++) {
      const hostile = await openHostile({ of: holder })
      const channel = await openExchange(hostile, holder.peer)
      await channel.send(encodeMessage({ type: 'want', id: 1, digest, repository }))
      const pieces = Array.from({ length: 24 }, (_, piece) => piece)
      await channel.send(encodeMessage({ type: 'request', id: 1, pieces, urgent: 1 }))
    }
    await fetched()
  })
})

async function told(stream: BatchChannel): Promise<Extract<Move, { type: 'direct' }>> {
  for (;;) {
    const frame = await stream.receive({ signal: AbortSignal.timeout(30_000) })
    if (frame === undefined) throw new Error('the stream ended')
    const message = decodeFrame(frame)
    if (message.type === 'direct') return message
  }
}

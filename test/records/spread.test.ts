import { describe, expect, it } from 'vitest'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import {
  answerQuestions,
  askRecords,
  type Spread,
  spreadRecords,
  type Verdict,
} from '../../src/records/records.ts'
import { channelPair } from '../../src/wire/wire.ts'
import { manifestRecords, spreadMessage, tagRecords } from '../hostile/records.ts'
import { alice, bob, digestOf, manifestChange, signedTags, tagChange, testLedger } from './fixture.ts'

const app = parseRepository('team/app')
const v1 = parseTag('v1')

class TestSpread implements Spread {
  readonly sent: Uint8Array[] = []
  #handler: ((message: Uint8Array, from: string) => Promise<Verdict>) | undefined

  async publish(message: Uint8Array): Promise<void> {
    this.sent.push(message)
  }

  onMessage(handler: (message: Uint8Array, from: string) => Promise<Verdict>): () => void {
    this.#handler = handler
    return () => {
      this.#handler = undefined
    }
  }

  async receive(message: Uint8Array, from = 'peer'): Promise<Verdict | undefined> {
    return this.#handler?.(message, from)
  }
}

describe('spreading', () => {
  it('tells what was published here, and not what came from a peer', async () => {
    await using node = await testLedger()
    await using other = await testLedger({ identity: bob })
    const [near, far] = [new TestSpread(), new TestSpread()]
    {
      await using _near = spreadRecords({ ledger: node.ledger, spread: near })
      await using _far = spreadRecords({ ledger: other.ledger, spread: far })
      await node.ledger.publish([tagChange('team/app', 'v1', 'one'), manifestChange('team/app', 'one')])
      expect(near.sent).toHaveLength(1)
      const [message = new Uint8Array()] = near.sent
      expect(await far.receive(message)).toBe('accept')
      expect(await far.receive(message)).toBe('ignore')
      expect((await other.ledger.findTag(app, v1))?.author).toBe(alice.peerId)
    }
    await node.ledger.publish([tagChange('team/app', 'v2', 'one')])
    expect(near.sent).toHaveLength(1)
    expect(far.sent).toHaveLength(0)
    expect(await far.receive(new Uint8Array())).toBeUndefined()
  })

  it('packs many records into messages that are not too long', async () => {
    await using node = await testLedger()
    await using other = await testLedger()
    const [near, far] = [new TestSpread(), new TestSpread()]
    const spreading = spreadRecords({ ledger: node.ledger, spread: near })
    await using _far = spreadRecords({ ledger: other.ledger, spread: far })
    const annotations = { long: 'x'.repeat(2000) }
    await node.ledger.publish(
      Array.from({ length: 150 }, (_, n) => manifestChange('team/app', `${n}`, { annotations })),
    )
    await node.ledger.publish(Array.from({ length: 1100 }, (_, n) => tagChange('team/app', `t${n}`, 'x')))
    await spreading[Symbol.asyncDispose]()
    expect(near.sent.length).toBeLessThan(10)
    for (const message of near.sent) {
      expect(message.length).toBeLessThanOrEqual(256 * 1024)
      expect(await far.receive(message)).toBe('accept')
    }
    expect(await other.ledger.listTags(app, { limit: 2000 })).toHaveLength(1100)
  })

  it('does not end before what it was told is stored', async () => {
    const node = await testLedger()
    const spread = new TestSpread()
    const spreading = spreadRecords({ ledger: node.ledger, spread })
    const judging = spread.receive(spreadMessage(tagRecords(bob, 200)))
    judging.catch(() => undefined)
    await spreading[Symbol.asyncDispose]()
    await node[Symbol.asyncDispose]()
    expect(await judging).toBe('accept')
  })

  it('rejects what no honest peer hands on', async () => {
    await using node = await testLedger()
    const spread = new TestSpread()
    await using _spreading = spreadRecords({ ledger: node.ledger, spread })
    const broken = signedTags(alice, 1).map((record) => record.with(40, 0).with(41, 0))
    for (const message of [
      new Uint8Array([1]),
      Buffer.concat([Buffer.from([0x81, 0x59, 1, 0]), new Uint8Array(256)]),
      packed(broken),
    ]) {
      expect(await spread.receive(message)).toBe('reject')
    }
  })

  it('holds it against nobody to hand on what is known, beside what is new', async () => {
    await using node = await testLedger()
    const spread = new TestSpread()
    await using _spreading = spreadRecords({ ledger: node.ledger, spread })
    const records = signedTags(alice, 520)
    expect(await spread.receive(packed(records.slice(0, 500)))).toBe('accept')
    for (let n = 500; n < 520; n++) {
      expect(await spread.receive(packed(records.slice(0, 500)))).toBe('ignore')
      expect(await spread.receive(packed(records.slice(0, n + 1)))).toBe('accept')
    }
  })

  it('passes on nothing in which something has to wait here', async () => {
    await using node = await testLedger()
    const spread = new TestSpread()
    await using _spreading = spreadRecords({ ledger: node.ledger, spread })
    for (let n = 0; n < 5; n++) await node.ledger.apply(manifestRecords(bob, 60, { first: 60 * n }))
    const [small = new Uint8Array()] = tagRecords(bob, 1)
    expect(await spread.receive(spreadMessage([small, ...manifestRecords(bob, 2, { first: 300 })]))).toBe(
      'ignore',
    )
    expect(await spread.receive(spreadMessage(tagRecords(bob, 1, { first: 1 })))).toBe('accept')
  })

  it('drops unread what all peers together tell beyond its budget, and keeps half of that for who tells little', async () => {
    await using node = await testLedger()
    const spread = new TestSpread()
    let now = 0
    await using _spreading = spreadRecords({ ledger: node.ledger, spread, now: () => now })
    const records = signedTags(alice, 901)
    const known = packed(records.slice(0, 900))
    expect(await spread.receive(packed(records.slice(0, 1)), 'modest')).toBe('accept')
    const work = node.ledger.apply.bind(node.ledger)
    let applied = 0
    node.ledger.apply = (...given) => {
      applied++
      return work(...given)
    }
    for (let n = 0; n < 100; n++) await spread.receive(known, 'talkative')
    expect(applied).toBeLessThan(45)
    expect(await spread.receive(packed(records.slice(900)), 'modest')).toBe('accept')
    now += 60_000
    applied = 0
    await spread.receive(known, 'talkative')
    expect(applied).toBe(1)
  })
})

/** A list of byte strings of 256 to 65,535 bytes each, as CBOR. */
function packed(records: Uint8Array[]): Uint8Array {
  const header = Buffer.from([0x99, records.length >> 8, records.length & 255])
  const short = Buffer.from([0x80 + records.length])
  const parts = records.flatMap((record) => [
    Buffer.from([0x59, record.length >> 8, record.length & 255]),
    record,
  ])
  return Buffer.concat([records.length < 24 ? short : header, ...parts])
}

describe('asking', () => {
  it('brings a tag with its manifest, a deletion, or nothing', async () => {
    await using node = await testLedger()
    await using other = await testLedger({ identity: bob })
    await other.ledger.publish([tagChange('team/app', 'v1', 'one'), manifestChange('team/app', 'one')])
    await other.ledger.publish([tagChange('team/app', 'gone', undefined)])
    const { a, b } = channelPair()
    const answering = answerQuestions(b, other.ledger)
    const records = await askRecords(a, [{ kind: 'tag', repository: app, tag: v1 }])
    expect(await node.ledger.apply(records)).toMatchObject({ applied: 2 })
    expect((await node.ledger.findManifest(app, digestOf('one')))?.size).toBe(7)
    expect(await askRecords(a, [{ kind: 'tag', repository: app, tag: parseTag('gone') }])).toHaveLength(1)
    expect(await askRecords(a, [{ kind: 'manifest', repository: app, digest: digestOf('no') }])).toEqual([])
    await a.close()
    await answering
  })

  it('answers within its limit, and refuses what is no question', async () => {
    await using node = await testLedger()
    const annotations = { long: 'x'.repeat(60_000) }
    const contents = Array.from({ length: 10 }, (_, n) => `${n}`)
    for (const content of contents)
      await node.ledger.publish([manifestChange('team/app', content, { annotations })])
    const { a, b } = channelPair()
    const answering = expect(answerQuestions(b, node.ledger)).rejects.toMatchObject({ code: 'MALFORMED' })
    const keys = contents.map((content) => ({
      kind: 'manifest' as const,
      repository: app,
      digest: digestOf(content),
    }))
    expect(await askRecords(a, keys)).toHaveLength(4)
    await a.send(Buffer.from('nonsense'))
    await answering
  })
})

/** Fifty ledgers under a network that loses, doubles and reorders, clocks that differ, and changing policies. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Clock } from '../../src/base/base.ts'
import { parseRepository } from '../../src/oci/oci.ts'
import { answerReconciliation, type Ledger, type Policy, reconcile } from '../../src/records/records.ts'
import { channelPair } from '../../src/wire/wire.ts'
import {
  authority,
  fingerprintsOf,
  identity,
  ManualClock,
  manifestChange,
  manifestDeletion,
  type TestLedger,
  tagChange,
  testLedger,
} from './fixture.ts'

const size = 50
const steps = 120
const minute = 60_000
const day = 24 * 60 * minute
const repositories = ['free/app', 'rel/app', 'team/app']
const maxPasses = 10

/** The same numbers for the same seed (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

class Cluster implements AsyncDisposable {
  readonly clock = new ManualClock()
  readonly nodes: TestLedger[] = []
  readonly inboxes: Uint8Array[][] = []
  readonly pick: (below: number) => number

  constructor(seed: number) {
    this.pick = random(seed)
  }

  async open(): Promise<this> {
    for (let n = 0; n < size; n++) {
      const skew = this.pick(4 * minute) - 2 * minute
      const clock: Clock = {
        now: () => this.clock.ms + skew,
        sleep: (ms, options) => this.clock.sleep(ms, options),
      }
      const node = await testLedger({
        clock,
        identity: identity(100 + n),
        ...(n === 0 ? { authorityIdentity: authority } : {}),
      })
      this.nodes.push(node)
      this.inboxes.push([])
      node.ledger.onRecords((records, { own }) => {
        if (own) for (const record of records) this.#send(record)
      })
    }
    return this
  }

  ledger(n: number): Ledger {
    const node = this.nodes[n]
    if (node === undefined) throw new RangeError(`no node ${n}`)
    return node.ledger
  }

  /** Half of it is lost, and some comes twice. */
  #send(record: Uint8Array): void {
    for (const inbox of this.inboxes) {
      for (let copies = [0, 0, 1, 1, 1, 2][this.pick(6)] ?? 0; copies > 0; copies--) {
        inbox.splice(this.pick(inbox.length + 1), 0, record)
      }
    }
  }

  async deliver(n: number, most: number): Promise<void> {
    const records = this.inboxes[n]?.splice(0, most) ?? []
    const { blame } = await this.ledger(n).apply(records)
    expect(blame).toBeUndefined()
  }

  async change(n: number): Promise<void> {
    const repository = repositories[this.pick(3)] ?? 'free/app'
    const content = `${this.pick(4)}`
    const tag = ['v1', 'v2', 'latest'][this.pick(3)] ?? 'v1'
    const changes = [
      tagChange(repository, tag, content),
      tagChange(repository, tag, undefined),
      manifestChange(repository, content),
      manifestDeletion(repository, content),
    ]
    const change = changes[this.pick(4)]
    if (change === undefined) return
    try {
      await this.ledger(n).publish([change])
    } catch (error) {
      expect(error).toMatchObject({ code: 'NOT_PERMITTED' })
    }
  }

  async setPolicy(): Promise<void> {
    const someone = (): string => identity(100 + this.pick(size)).peerId
    const policy: Policy = {
      rules:
        this.pick(2) === 0 ? [] : [{ repositories: 'team/**', authors: Array.from({ length: 10 }, someone) }],
      immutable: this.pick(2) === 0 ? [] : [{ repositories: 'rel/*', tags: 'v*' }],
      sealers: Array.from({ length: this.pick(3) }, someone),
      banned: Array.from({ length: this.pick(4) }, someone),
    }
    await this.ledger(0).setPolicy(policy)
  }

  async meet(a: number, b: number): Promise<number> {
    const pair = channelPair()
    const [near, far] = await Promise.all([
      reconcile(pair.a, this.ledger(a), { clock: this.clock }),
      answerReconciliation(pair.b, this.ledger(b), { clock: this.clock }),
    ])
    return near.applied + far.applied
  }

  /** Everyone meets node 0 until nothing moves. */
  async settle(): Promise<void> {
    for (let pass = 0; pass < maxPasses; pass++) {
      let moved = 0
      for (let n = 1; n < size; n++) moved += await this.meet(n, 0)
      if (moved === 0) return
    }
    expect.unreachable('the ledgers keep exchanging records')
  }

  async sweep(): Promise<void> {
    for (let n = 0; n < size; n++) await this.ledger(n).sweep()
  }

  async view(n: number): Promise<unknown> {
    const ledger = this.ledger(n)
    const page = { limit: 1000 }
    const names = repositories.map(parseRepository)
    const tags = await Promise.all(
      names.map(async (name) =>
        Promise.all((await ledger.listTags(name, page)).map((tag) => ledger.findTag(name, tag))),
      ),
    )
    const manifests = await Promise.all(names.map((name) => ledger.listManifests(name, page)))
    return { tags, manifests, repositories: await ledger.listRepositories(page), policy: ledger.policy() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) await node[Symbol.asyncDispose]()
  }
}

it('all end the same', { timeout: 60_000 * Number(process.env.SIMULATIONS ?? 2) }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.boolean(), async (seed, away) => {
      await using cluster = await new Cluster(seed).open()
      const { pick } = cluster
      for (let step = 0; step < steps; step++) {
        cluster.clock.ms += pick(2 * minute)
        // In the middle a month passes, and only some nodes bury what was deleted before.
        if (away && step === steps / 2) {
          cluster.clock.ms += 31 * day
          for (let n = 0; n < size; n += 1 + pick(3)) await cluster.ledger(n).sweep()
        }
        if (pick(15) === 0) await cluster.setPolicy()
        else await cluster.change(pick(size))
        if (pick(8) === 0) await cluster.meet(pick(size / 2), size / 2 + pick(size / 2))
        for (let n = pick(5); n < size; n += 5) await cluster.deliver(n, pick(4))
      }
      await cluster.settle()
      // What no node may have any more goes an hour after its policy came.
      cluster.clock.ms += 90 * minute
      await cluster.sweep()
      await cluster.settle()
      cluster.clock.ms += 2 * day
      await cluster.sweep()
      const expected = await cluster.view(0)
      const root = (await fingerprintsOf(cluster.ledger(0))).of('')
      for (let n = 1; n < size; n++) {
        expect(await cluster.view(n)).toEqual(expected)
        expect((await fingerprintsOf(cluster.ledger(n))).of('')).toEqual(root)
      }
    }),
    { numRuns: Number(process.env.SIMULATIONS ?? 2), endOnFailure: true },
  )
})

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Digest, digestBytes, type Tag } from '../../src/oci/oci.ts'
import { layerBytes, PlacedCluster, type PlacedNode, repository } from './cluster.ts'

const { signal } = new AbortController()
const minute = 60_000
const hour = 60 * minute

async function clusterOf(
  count: number,
  images: number,
): Promise<{ cluster: PlacedCluster; digests: Digest[] }> {
  const cluster = await new PlacedCluster(count).start()
  await cluster.pass(2 * minute)
  const digests = Array.from({ length: images }, (_, at) => {
    const node = cluster.nodes[at % count] as PlacedNode
    return cluster.push(node).digest
  })
  await cluster.pass(5 * minute)
  return { cluster, digests }
}

function kill(node: PlacedNode): void {
  node.stop()
  node.isDead = true
  node.held.clear()
}

describe('copies', () => {
  it('has what is pushed at two members, and at their owners', async () => {
    const { cluster, digests } = await clusterOf(8, 40)
    for (const digest of digests) {
      expect(cluster.holders(digest).length).toBeGreaterThanOrEqual(2)
      const owners = cluster.up[0]?.runner?.placer.owners(digest, 2) ?? []
      for (const peer of owners) expect(cluster.holders(digest).map((node) => node.peer)).toContain(peer)
    }
    for (const node of cluster.nodes) expect(node.debts.size).toBe(0)
  })

  it('has what was sent ahead at the owners of its home', async () => {
    const { cluster } = await clusterOf(8, 0)
    for (const [at, node] of cluster.nodes.entries()) {
      const home = digestBytes(Buffer.from(`home ${at}`))
      const { digest } = cluster.push(node, { home })
      await cluster.pass(2 * minute)
      const holders = cluster.holders(digest).map(({ peer }) => peer)
      for (const peer of node.runner?.placer.owners(home, 2) ?? []) expect(holders).toContain(peer)
      expect(new Set(holders).size).toBeLessThanOrEqual(3)
    }
  })

  it('moves nothing while a member restarts for five minutes', async () => {
    const { cluster } = await clusterOf(8, 40)
    const before = cluster.receivedBytes
    for (const node of cluster.nodes) {
      node.stop()
      await cluster.pass(5 * minute)
      await cluster.start(node)
      await cluster.pass(2 * minute)
    }
    await cluster.pass(hour)
    expect(cluster.receivedBytes - before).toBe(0)
  })

  it('moves nothing when half of the members are cut off for an hour, nor when the line is back', async () => {
    const { cluster } = await clusterOf(8, 40)
    const before = cluster.receivedBytes
    for (const node of cluster.nodes.slice(4)) node.side = 1
    await cluster.pass(hour)
    expect(cluster.receivedBytes - before).toBe(0)
    // One after the other, as connections come back.
    for (const node of cluster.nodes.slice(4)) {
      node.side = 0
      cluster.spread()
      await cluster.pass(minute)
    }
    await cluster.pass(hour)
    expect(cluster.receivedBytes - before).toBe(0)
  })

  it('has what is pushed during a cut at two members of that side', async () => {
    const { cluster } = await clusterOf(8, 8)
    for (const node of cluster.nodes.slice(4)) node.side = 1
    await cluster.pass(minute)
    for (const node of cluster.nodes) {
      const { digest } = cluster.push(node)
      await cluster.pass(2 * minute)
      const holders = cluster.holders(digest).filter(({ side }) => side === node.side)
      expect(holders.length).toBeGreaterThanOrEqual(2)
    }
  })

  it('brings what a dead member held to two copies again, and moves no more than that', async () => {
    const { cluster, digests } = await clusterOf(8, 400)
    const dead = cluster.nodes[3] as PlacedNode
    const share = dead.held.size * layerBytes
    const before = cluster.receivedBytes
    kill(dead)
    await cluster.pass(9 * minute)
    expect(cluster.receivedBytes - before).toBe(0)
    await cluster.pass(20 * minute)
    for (const digest of digests) expect(cluster.holders(digest).length).toBeGreaterThanOrEqual(2)
    expect(cluster.receivedBytes - before).toBeLessThanOrEqual(1.1 * share)
    expect(cluster.receivedBytes - before).toBeGreaterThan(0)
  })

  it('brings back nothing that was deleted while its owner was away', async () => {
    const { cluster } = await clusterOf(5, 0)
    const [first] = cluster.nodes as [PlacedNode]
    const { tag, digest } = cluster.push(first)
    await cluster.pass(2 * minute)
    const away = cluster.holders(digest).find((node) => node !== first) as PlacedNode
    away.stop()
    await cluster.pass(minute)
    cluster.delete(first, tag)
    await cluster.pass(20 * minute)
    await cluster.start(away)
    await cluster.pass(hour)
    expect(cluster.holders(digest)).toEqual([])
    for (const node of cluster.nodes) expect(node.debts.size).toBe(0)
  })

  it('lets a copy go once all owners have said that they have theirs, and keeps those', async () => {
    const { cluster, digests } = await clusterOf(6, 30)
    await cluster.pass(30 * minute)
    let gone = 0
    for (const node of cluster.nodes) {
      for (const digest of digests.filter((one) => node.held.has(one))) {
        if (
          !(await node.runner?.placer.promises.mayLetGo(
            { repository, digest },
            { budget: { leftMs: 5_000 }, signal },
          ))
        )
          continue
        gone++
        node.held.delete(digest)
      }
    }
    expect(gone).toBeGreaterThan(0)
    for (const digest of digests) expect(cluster.holders(digest)).toHaveLength(2)
  })

  it('lets nothing go while an owner cannot be asked, or has lost its copy', async () => {
    const { cluster, digests } = await clusterOf(6, 30)
    await cluster.pass(30 * minute)
    const surplus = digests.flatMap((digest) => {
      const owners = cluster.nodes[0]?.runner?.placer.owners(digest, 2) ?? []
      const holder = cluster.holders(digest).find(({ peer }) => !owners.includes(peer))
      const owner = cluster.nodes.find(({ peer }) => peer === owners[0])
      return holder === undefined || owner === undefined ? [] : [{ digest, holder, owner }]
    })
    const [one, two] = surplus
    if (one === undefined || two === undefined) throw new Error('no surplus was made')
    const ask = (node: PlacedNode, digest: Digest) =>
      node.runner?.placer.promises.mayLetGo({ repository, digest }, { budget: { leftMs: 5_000 }, signal })
    one.owner.held.delete(one.digest)
    expect(await ask(one.holder, one.digest)).toBe(false)
    two.owner.side = 1
    expect(await ask(two.holder, two.digest)).toBe(false)
  })

  it('never lets both of two members go that take each other for the owner', async () => {
    const cluster = await new PlacedCluster(3).start()
    await cluster.pass(2 * minute)
    const digests = cluster.nodes.map((node) => cluster.push(node).digest)
    cluster.policy = { copies: 3 }
    for (const node of cluster.nodes) node.runner?.lookSoon()
    await cluster.pass(5 * minute)
    cluster.policy = { copies: 2 }
    const [one, two] = cluster.nodes as [PlacedNode, PlacedNode]
    for (const node of [one, two]) node.runner?.offer({ peer: node.peer, room: 0 })
    await cluster.pass(30 * minute)
    for (const digest of digests) {
      expect(cluster.holders(digest)).toHaveLength(3)
      const ask = (node: PlacedNode) =>
        node.runner?.placer.promises.mayLetGo({ repository, digest }, { budget: { leftMs: 5_000 }, signal })
      const may = await Promise.all([ask(one), ask(two)])
      expect(may).not.toEqual([true, true])
      // Nor in turn: the first has left, so the other stays.
      expect([await ask(one), await ask(two)]).not.toEqual([true, true])
    }
  })

  it('keeps what is a part of an image that it owns, whatever the owners of another say', async () => {
    const { cluster, digests } = await clusterOf(6, 30)
    await cluster.pass(30 * minute)
    const ownersOf = (digest: Digest) => cluster.nodes[0]?.runner?.placer.owners(digest, 2) ?? []
    let asked = 0
    for (const digest of digests) {
      const owners = ownersOf(digest)
      const holder = cluster.holders(digest).find(({ peer }) => !owners.includes(peer))
      const other = digests.find((one) => one !== digest && ownersOf(one).includes(holder?.peer ?? ''))
      if (holder === undefined || other === undefined) continue
      cluster.parents.set(digest, [other])
      asked++
      const budget = { leftMs: 5_000 }
      const may = holder.runner?.placer.promises.mayLetGo({ repository, digest }, { budget, signal })
      expect(await may).toBe(false)
    }
    expect(asked).toBeGreaterThan(0)
  })

  it('frees by hand what another keeps, and not what all holders would free at once', async () => {
    const { cluster, digests } = await clusterOf(4, 6)
    await cluster.pass(30 * minute)
    for (const digest of digests) {
      const holders = cluster.holders(digest)
      const stay = (node: PlacedNode) => {
        const others = holders.filter((other) => other !== node).map(({ peer }) => peer)
        return node.runner?.placer.promises.askToStay({ repository, digest }, others, { signal })
      }
      const staying = await Promise.all(holders.map(stay))
      for (const [at, node] of holders.entries()) if (staying[at]?.length !== 0) node.held.delete(digest)
      expect(cluster.holders(digest).length).toBeGreaterThan(0)
      // Nor one after the other: who stays has promised it.
      for (const node of cluster.holders(digest))
        if ((await stay(node))?.length !== 0) node.held.delete(digest)
      expect(cluster.holders(digest).length).toBeGreaterThan(0)
      await cluster.pass(2 * minute)
      const [one] = cluster.holders(digest)
      expect(await (one && stay(one))).toEqual([])
    }
  })

  it('leaves everything where it is when the policy says one copy', async () => {
    const cluster = await new PlacedCluster(4).start()
    cluster.policy = { copies: 1 }
    await cluster.pass(2 * minute)
    const { digest } = cluster.push(cluster.nodes[1] as PlacedNode)
    await cluster.pass(hour)
    expect(cluster.holders(digest)).toEqual([cluster.nodes[1]])
  })

  it('knows what it owns, and by which rule', async () => {
    const { cluster, digests } = await clusterOf(4, 8)
    for (const digest of digests) {
      const duties = await Promise.all(
        cluster.nodes.map((node) => node.runner?.placer.duty({ repository, digest })),
      )
      expect(duties.filter((duty) => duty !== undefined)).toEqual(
        Array(2).fill({ copies: 2, rule: 'the usual placement of what is pushed' }),
      )
    }
    const duty = () => cluster.nodes[0]?.runner?.placer.duty({ repository, digest: digests[0] as Digest })
    cluster.policy = { placement: [{ repositories: 'apps/*', copies: 4 }] }
    expect(await duty()).toEqual({ copies: 4, rule: `the policy's placement of "apps/*"` })
    cluster.policy = { copies: 1 }
    expect(await duty()).toBeUndefined()
  })

  it('counts each member once that says it holds a push', async () => {
    const cluster = await new PlacedCluster(4).start()
    cluster.policy = { copies: 3 }
    await cluster.pass(2 * minute)
    const [node] = cluster.nodes as [PlacedNode]
    const { digest } = cluster.push(node)
    const client = new AbortController()
    let asked = 0
    cluster.onAsk = (peer) => {
      asked++
      if (peer !== 'node-1') throw new Error('nobody answers')
    }
    const image = { repository, digest }
    const waiting = node.runner?.placer.secured(image, { copies: 3, withinMs: 1_000, signal: client.signal })
    while (asked < 3) await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setImmediate(resolve))
    client.abort(new Error('the client waits no more'))
    expect(await waiting).toEqual({ held: 2, wanted: 3 })
  })

  describe('asking whether copies may go', () => {
    /** A member that owns none of the images and holds them all, as after a pull of each. */
    async function holderOfOthers(count: number) {
      const { cluster, digests } = await clusterOf(4, count)
      await cluster.pass(30 * minute)
      const [node] = cluster.nodes as [PlacedNode]
      const isOwner = (digest: Digest) => node.runner?.placer.owners(digest, 2).includes(node.peer)
      const others = digests.filter((digest) => !isOwner(digest))
      expect(others.length).toBeGreaterThan(10)
      for (const digest of others) node.held.add(digest)
      const asked: string[] = []
      cluster.onAsk = (peer, { images }) => asked.push(...images.map(({ digest }) => `${peer} ${digest}`))
      const mayLetGo = async (digest: Digest, budget: { leftMs: number }) =>
        await node.runner?.placer.promises.mayLetGo({ repository, digest }, { budget, signal })
      return { cluster, others, asked, mayLetGo }
    }

    it('goes on for so long at most, and the next look goes on from there', async () => {
      const { cluster, others, mayLetGo } = await holderOfOthers(40)
      for (const owner of cluster.nodes.slice(1)) owner.held.clear()
      const images = new Set<string>()
      cluster.onAsk = (_, { images: [image] }) => {
        if (image === undefined || images.has(image.digest)) return
        images.add(image.digest)
        cluster.clock.nowMs += 2_000
      }
      const look = async () => {
        const budget = { leftMs: 5_000 }
        for (const digest of others) expect(await mayLetGo(digest, budget)).toBe(false)
      }
      await look()
      expect(images.size).toBe(3)
      // Who lacks it is not asked again at once.
      await look()
      expect(images.size).toBe(6)
    })

    it('promises nothing that may go, though somebody has asked in vain whether it may', async () => {
      const { cluster, others, mayLetGo } = await holderOfOthers(40)
      const [digest] = others as [Digest]
      const promises = cluster.nodes[0]?.runner?.placer.promises
      const image = { repository, digest }
      expect(await mayLetGo(digest, { leftMs: 5_000 })).toBe(true)
      expect(await promises?.askToStay(image, [], { signal })).toEqual([])
      const question = { mode: 'promise' as const, images: [image], withinMs: 0 }
      expect(await promises?.answer('node-x', question, { signal })).toEqual(['missing'])
    })

    it('keeps what it promised while it waited for its turn to ask', async () => {
      const { cluster, others, mayLetGo } = await holderOfOthers(40)
      const digest = others.at(-1) as Digest
      const promises = cluster.nodes[0]?.runner?.placer.promises
      const waiting = others.map((one) => mayLetGo(one, { leftMs: 5_000 }))
      const question = { mode: 'promise' as const, images: [{ repository, digest }], withinMs: 0 }
      const [said] = (await promises?.answer('node-x', question, { signal })) ?? []
      const may = (await Promise.all(waiting)).at(-1)
      expect([said, may]).toEqual(['held', false])
    })

    it('asks nobody again who did not answer, for a minute', async () => {
      const { cluster, others, mayLetGo } = await holderOfOthers(40)
      const asked = new Map<string, number>()
      cluster.onAsk = (peer) => {
        asked.set(peer, (asked.get(peer) ?? 0) + 1)
        throw new Error('nobody answers')
      }
      for (const digest of others) expect(await mayLetGo(digest, { leftMs: 5_000 })).toBe(false)
      expect([...asked.values()]).toEqual([1, 1])
      cluster.onAsk = () => undefined
      cluster.clock.nowMs += 11 * minute
      for (const digest of others) expect(await mayLetGo(digest, { leftMs: 5_000 })).toBe(true)
    })

    it('asks once where many blobs are of one image, or several look at once', async () => {
      const { cluster, others, asked, mayLetGo } = await holderOfOthers(40)
      const [digest] = others as [Digest]
      const budget = { leftMs: 5_000 }
      expect(await Promise.all([mayLetGo(digest, budget), mayLetGo(digest, budget)])).toEqual([true, true])
      expect(await mayLetGo(digest, budget)).toBe(true)
      expect(asked).toHaveLength(2)
      // What is true for a minute is asked anew before that is over.
      cluster.clock.nowMs += 20_000
      expect(await mayLetGo(digest, budget)).toBe(true)
      expect(asked).toHaveLength(4)
    })
  })

  it('waits for copies of a push, and says how many there are', async () => {
    const cluster = await new PlacedCluster(4).start()
    await cluster.pass(2 * minute)
    const [node] = cluster.nodes as [PlacedNode]
    const { digest } = cluster.push(node)
    const wait = (copies: number) =>
      node.runner?.placer.secured({ repository, digest }, { copies, withinMs: 1_000, signal })
    expect(await wait(2)).toEqual({ held: 2, wanted: 2 })
    expect(cluster.holders(digest).length).toBeGreaterThanOrEqual(2)
    // The policy wants two, so a third is not waited for in vain.
    expect(await wait(3)).toEqual({ held: 2, wanted: 3 })
    expect(await wait(1)).toBeUndefined()
  })

  it('makes copies anew of what was deleted, collected and pushed again', async () => {
    const { cluster } = await clusterOf(6, 0)
    for (const node of cluster.nodes) {
      const { tag, digest } = cluster.push(node)
      await cluster.pass(2 * minute)
      cluster.delete(node, tag)
      await cluster.pass(2 * minute)
      expect(cluster.holders(digest)).toEqual([])
      cluster.pushAgain(node, digest)
      await cluster.pass(2 * minute)
      expect(cluster.holders(digest).length).toBeGreaterThanOrEqual(2)
      expect(cluster.nodes.flatMap(({ debts }) => [...debts.values()])).toEqual([])
    }
  })

  it('counts for a push no copy that a member said it had long ago', async () => {
    const { cluster } = await clusterOf(6, 0)
    const [node] = cluster.nodes as [PlacedNode]
    const { digest } = cluster.push(node)
    await cluster.pass(2 * minute)
    for (const other of cluster.nodes) if (other !== node) other.held.delete(digest)
    const said = node.runner?.placer.secured({ repository, digest }, { copies: 2, withinMs: 1_000, signal })
    expect(await said).toEqual({ held: 2, wanted: 2 })
    expect(cluster.holders(digest).length).toBeGreaterThanOrEqual(2)
  })

  it('hands over anew what a member took once and has no more', async () => {
    const { cluster } = await clusterOf(6, 0)
    const [node] = cluster.nodes as [PlacedNode]
    const { digest } = cluster.push(node)
    await cluster.pass(2 * minute)
    for (const other of cluster.nodes) if (other !== node) other.held.delete(digest)
    expect(await node.runner?.placer.handOver({ repository, digest }, { signal })).toBe(true)
    expect(cluster.holders(digest).length).toBeGreaterThanOrEqual(3)
  })

  it('goes on with what others share when a client that waits is gone', async () => {
    const cluster = await new PlacedCluster(4).start()
    await cluster.pass(2 * minute)
    const [node] = cluster.nodes as [PlacedNode]
    const { digest } = cluster.push(node)
    const client = new AbortController()
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>()
    cluster.answered = answered
    const image = { repository, digest }
    const waiting = node.runner?.placer.secured(image, { copies: 2, withinMs: 1_000, signal: client.signal })
    const other = node.runner?.placer.secured(image, { copies: 2, withinMs: 1_000, signal })
    await new Promise((resolve) => setImmediate(resolve))
    client.abort(new Error('the client is gone'))
    await Promise.allSettled([waiting])
    answer()
    expect(await other).toEqual({ held: 2, wanted: 2 })
    await cluster.act()
    expect(node.debts.size).toBe(0)
  })

  it('is short of nothing as soon as the owners have what was pushed', async () => {
    const cluster = await new PlacedCluster(4).start()
    await cluster.pass(2 * minute)
    const [node] = cluster.nodes as [PlacedNode]
    const gate = Promise.withResolvers<void>()
    cluster.given = gate.promise
    const { digest } = cluster.push(node)
    // It hears that copies are on their way, and is to ask again after a pause.
    const acting = cluster.act()
    const triesOf = () => [...node.debts.values()].map(({ tries }) => tries)
    while (triesOf()[0] !== 1) await new Promise((resolve) => setImmediate(resolve))
    gate.resolve()
    await acting
    expect(cluster.holders(digest).length).toBeGreaterThanOrEqual(2)
    // No time has passed.
    await cluster.act()
    expect(node.debts.size).toBe(0)
  })

  it('answers a push that waits when the owner that was bringing it already has it', async () => {
    const cluster = await new PlacedCluster(2).start()
    await cluster.pass(2 * minute)
    const [node] = cluster.nodes as [PlacedNode]
    const gate = Promise.withResolvers<void>()
    cluster.given = gate.promise
    const { digest } = cluster.push(node)
    const acting = cluster.act()
    await new Promise((resolve) => setImmediate(resolve))
    let asked = 0
    // Whoever asks again while it waits hears nothing: it has to be told.
    cluster.onAsk = (peer, { mode }) => {
      if (mode === 'have') return
      asked++
      throw new Error(`${peer} is asked again`)
    }
    const image = { repository, digest }
    const waiting = node.runner?.placer.secured(image, { copies: 2, withinMs: 1_000, signal })
    await new Promise((resolve) => setImmediate(resolve))
    gate.resolve()
    expect(await waiting).toEqual({ held: 2, wanted: 2 })
    expect(asked).toBeLessThanOrEqual(1)
    await acting
  })

  it('believes no member that says it has what it was not asked to hold', async () => {
    const cluster = await new PlacedCluster(2).start()
    await cluster.pass(2 * minute)
    const [node, other] = cluster.nodes as [PlacedNode, PlacedNode]
    const { digest } = cluster.push(node)
    const have = { mode: 'have' as const, images: [{ repository, digest }], withinMs: 0 }
    expect(await node.runner?.placer.promises.answer(other.peer, have, { signal })).toEqual(['missing'])
  })

  it('says at once that nobody is there to take a copy', async () => {
    const cluster = await new PlacedCluster(1).start()
    const [node] = cluster.nodes as [PlacedNode]
    const { digest } = cluster.push(node)
    const said = await node.runner?.placer.secured(
      { repository, digest },
      { copies: 2, withinMs: 1_000, signal },
    )
    expect(said).toEqual({ held: 1, wanted: 2 })
  })

  it('hands over what a member holds alone', async () => {
    const cluster = await new PlacedCluster(4).start()
    cluster.policy = { copies: 1 }
    await cluster.pass(2 * minute)
    const [node] = cluster.nodes as [PlacedNode]
    const { digest } = cluster.push(node)
    expect(await node.runner?.placer.handOver({ repository, digest }, { signal })).toBe(true)
    expect(cluster.holders(digest)).toHaveLength(2)
  })

  it('keeps the rule through churn, drops no last copy, brings back nothing deleted, and comes to an end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(churn, { minLength: 8, maxLength: 24 }),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999_999, noNaN: true })),
        play,
      ),
      { numRuns: 4 },
    )
  }, 60_000)
})

type Churn = {
  kind: 'push' | 'delete' | 'kill' | 'restart' | 'cut' | 'heal' | 'evict' | 'join' | 'resize'
  at: number
  of: number
}

const churn: fc.Arbitrary<Churn> = fc.record({
  kind: fc.constantFrom(
    'push',
    'push',
    'delete',
    'kill',
    'restart',
    'cut',
    'heal',
    'evict',
    'evict',
    'join',
    'resize',
  ),
  at: fc.nat(),
  of: fc.nat(),
})

async function play(events: Churn[], chance: Iterator<number> & Iterable<number>): Promise<void> {
  const cluster = new PlacedCluster(60, () => chance.next().value ?? 0.5)
  await cluster.start(...cluster.nodes.slice(0, 50))
  const spare = cluster.nodes.slice(50)
  await cluster.pass(2 * minute)
  const live = new Map<Tag, Digest>()
  const deleted = new Set<Digest>()
  const pick = (at: number): PlacedNode => cluster.up[at % cluster.up.length] as PlacedNode
  const push = (at: number): void => {
    const { tag, digest } = cluster.push(pick(at))
    live.set(tag, digest)
  }
  for (let at = 0; at < 12; at++) push(at * 7)
  await cluster.pass(5 * minute)

  for (const { kind, at, of } of events) {
    const node = pick(at)
    if (kind === 'push') push(at)
    if (kind === 'kill' && cluster.up.length > 40) kill(node)
    if (kind === 'join') await cluster.start(...spare.splice(0, 1))
    if (kind === 'resize') {
      node.room = of % 3 === 0 ? 0 : 9 + (of % 4)
      node.runner?.offer(node.offer)
    }
    if (kind === 'restart') {
      node.stop()
      await cluster.pass(5 * minute)
      await cluster.start(node)
    }
    if (kind === 'cut') for (const [index, other] of cluster.nodes.entries()) other.side = (index + of) % 2
    if (kind === 'heal') for (const other of cluster.nodes) other.side = 0
    const tag = [...live.keys()][of % Math.max(1, live.size)]
    const digest = tag === undefined ? undefined : live.get(tag)
    if (tag !== undefined && digest !== undefined) {
      if (kind === 'delete' && node.statements.get(tag)?.entry !== undefined) {
        cluster.delete(node, tag)
        live.delete(tag)
        deleted.add(digest)
      }
      if (kind === 'evict') await evict(cluster, digest)
    }
    cluster.spread()
    await cluster.pass(15 * minute, 5 * minute)
    // Fewer died than an image has copies, between times that are long enough to make new ones.
    for (const one of live.values()) expect(cluster.holders(one).length).toBeGreaterThan(0)
  }

  for (const node of cluster.nodes) node.side = 0
  cluster.spread()
  await cluster.pass(hour, 5 * minute)
  for (const one of live.values()) expect(cluster.holders(one).length).toBeGreaterThanOrEqual(2)
  for (const one of deleted) expect(cluster.holders(one)).toEqual([])
  for (const node of cluster.up) expect([...node.debts.values()]).toEqual([])
  const before = cluster.receivedBytes
  await cluster.pass(2 * hour, 10 * minute)
  expect(cluster.receivedBytes).toBe(before)
}

/** Every holder would like to be rid of it, all at once. */
async function evict(cluster: PlacedCluster, digest: Digest): Promise<void> {
  const holders = cluster.holders(digest).filter(({ isUp }) => isUp)
  const before = cluster.holders(digest).length
  const may = await Promise.all(
    holders.map((node) =>
      node.runner?.placer.promises.mayLetGo({ repository, digest }, { budget: { leftMs: 5_000 }, signal }),
    ),
  )
  for (const [at, node] of holders.entries()) if (may[at] === true) node.held.delete(digest)
  if (may.includes(true)) expect(cluster.holders(digest).length).toBeGreaterThanOrEqual(2)
  expect(cluster.holders(digest).length).toBeGreaterThanOrEqual(Math.min(before, 2))
}

import { describe, expect, it } from 'vitest'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { type MirrorNode, openCluster } from './cluster.ts'
import { FakeUpstream, type Weather } from './fake-upstream.ts'

const repository = parseRepository('docker.io/library/alpine')
const tag = parseTag('3')
const get = ({ registry }: MirrorNode, name = tag) => registry.pull.getManifest(repository, { tag: name })
const ttlMs = 300_000

/** Six that have pulled one image, which is no longer fresh. */
async function openSix(opened: AsyncDisposableStack, weather: Weather) {
  const upstream = new FakeUpstream()
  const digest = upstream.push('library/alpine', '3', 'first')
  const cluster = await openCluster(opened, { size: 6, upstreams: [upstream], ttlMs })
  const checkedMs = cluster.clock.now()
  await Promise.all(cluster.nodes.map((node) => get(node)))
  await cluster.gossip()
  cluster.clock.advance(ttlMs)
  upstream.asked.length = 0
  upstream.weather = weather
  return { upstream, digest, cluster, checkedMs, nodes: cluster.nodes, node: cluster.node(0) }
}

describe('an upstream that cannot be reached', () => {
  it('leaves what was seen to be served, marked as stale, for as long as it is kept', async () => {
    await using opened = new AsyncDisposableStack()
    const { digest, cluster, checkedMs, node } = await openSix(opened, 'cut')
    const stale = { upstream: 'docker.io', checkedMs }
    expect(await get(node)).toMatchObject({ digest, stale: { ...stale, asked: true } })
    for (const days of [0, 1, 100]) {
      cluster.clock.advance(days * 24 * 60 * 60_000)
      expect(await get(node)).toMatchObject({ digest, stale })
    }
  })

  it('is asked a few times, however many names are pulled', async () => {
    await using opened = new AsyncDisposableStack()
    const upstream = new FakeUpstream()
    const tags = Array.from({ length: 200 }, (_, index) => parseTag(`t${index}`))
    for (const name of tags) upstream.push('library/alpine', name, name)
    const { clock, node } = await openCluster(opened, { upstreams: [upstream], ttlMs })
    for (const name of tags) await get(node(0), name)
    clock.advance(ttlMs)
    upstream.weather = 'cut'
    upstream.asked.length = 0
    for (const name of tags) expect(await get(node(0), name)).toHaveProperty('stale')
    expect(upstream.asked).toHaveLength(1)
  })

  it('makes what was never seen fail at once, with the reason', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, node } = await openSix(opened, 'cut')
    for (const name of ['new', 'newer']) {
      await expect(get(node, parseTag(name))).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringMatching(/docker\.io.*refused/),
      })
    }
    // The members that can ask were asked once, all of them, and then none for a while.
    expect(upstream.asked.every((request) => request === 'GET library/alpine:new')).toBe(true)
    expect(upstream.asked.length).toBeLessThanOrEqual(4)
  })

  it('is noticed to be back, and what it says then is no longer stale', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, cluster, node } = await openSix(opened, 'cut')
    await get(node)
    upstream.weather = 'fine'
    const moved = upstream.push('library/alpine', '3', 'second')
    cluster.clock.advance(60_000)
    const asked = new Promise<void>((resolve) => {
      upstream.onAsked = (request) => request.startsWith('GET') && resolve()
    })
    // The pull that has it asked does not wait for the answer.
    expect(await get(node)).toHaveProperty('stale')
    await asked
    await expect
      .poll(async () => {
        cluster.clock.advance(2_000)
        return await get(node)
      })
      .toMatchObject({ digest: moved })
    expect((await get(node)).stale).toBeUndefined()
  })

  it('is told from one that no member has', async () => {
    await using opened = new AsyncDisposableStack()
    const upstream = new FakeUpstream()
    const digest = upstream.push('library/alpine', '3', 'first')
    let reaches = true
    const { clock, node } = await openCluster(opened, {
      size: 2,
      upstreams: (i) => (i === 0 && reaches ? [upstream] : []),
    })
    expect(await get(node(1))).toMatchObject({ digest })
    reaches = false
    node(0).isUp = false
    clock.advance(ttlMs)
    expect(await get(node(1))).toMatchObject({ digest, stale: { upstream: 'docker.io' } })
  })
})

describe('a name that a member without the upstream asks for', () => {
  it('is unavailable, and not unknown, for as long as those that mirror it cannot reach the upstream', async () => {
    await using opened = new AsyncDisposableStack()
    const upstream = new FakeUpstream()
    upstream.push('library/alpine', '3', 'first')
    const cluster = await openCluster(opened, { size: 2, upstreams: (i) => (i === 0 ? [upstream] : []) })
    cluster.node(0).isAway = true
    for (let i = 0; i < 3; i++) {
      await expect(get(cluster.node(1), parseTag('new'))).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining('docker.io'),
      })
      cluster.clock.advance(60_000)
    }
    cluster.node(0).isAway = false
    await expect(get(cluster.node(1), parseTag('new'))).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
  })

  it('is denied, and not unknown, where the upstream wants credentials that nobody has', async () => {
    await using opened = new AsyncDisposableStack()
    const upstream = new FakeUpstream()
    upstream.weather = 'private'
    const cluster = await openCluster(opened, { size: 2, upstreams: (i) => (i === 0 ? [upstream] : []) })
    for (const node of cluster.nodes) {
      for (let i = 0; i < 3; i++)
        await expect(get(node)).rejects.toMatchObject({
          code: 'DENIED',
          message: expect.stringContaining('docker.io does not let'),
        })
    }
    expect(upstream.asked).toHaveLength(1)
    // Of other repositories that says nothing, and not for long of this one.
    upstream.weather = 'fine'
    upstream.push('library/alpine', '3', 'first')
    cluster.clock.advance(30_000)
    expect(await get(cluster.node(1))).toHaveProperty('digest')
  })
})

describe('an upstream that never answers', () => {
  it('delays the first pull of what is here by a second, and no other', async () => {
    await using opened = new AsyncDisposableStack()
    const { digest, cluster, node } = await openSix(opened, 'silent')
    const first = get(node)
    await cluster.clock.untilAsleep(1_000)
    cluster.clock.advance(1_000)
    expect(await first).toMatchObject({ digest, stale: { asked: true } })
    for (let i = 0; i < 20; i++) {
      expect(await get(node)).toMatchObject({ digest, stale: { upstream: 'docker.io' } })
      // Each looks at it anew, and some have it asked once more.
      cluster.clock.advance(2_500)
    }
  })

  it('makes what was never seen fail within five seconds, naming the upstream', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, node } = await openSix(opened, 'silent')
    const missing = get(node, parseTag('new'))
    missing.catch(() => undefined)
    await cluster.clock.untilAsleep(4_500)
    cluster.clock.advance(4_500)
    await expect(missing).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'docker.io does not answer' })
  })
})

describe('an upstream that asks to wait', () => {
  it('is left alone by all members, and the client is told for how long', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, cluster, node } = await openSix(opened, 'limited')
    const missing = () => get(node, parseTag('new'))
    await expect(missing()).rejects.toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs: 60_000 })
    expect(upstream.asked).toEqual(['GET library/alpine:new'])
    cluster.clock.advance(20_000)
    await expect(missing()).rejects.toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs: 40_000 })
    expect(await get(node)).toHaveProperty('stale')
    expect(upstream.asked).toHaveLength(1)
  })
})

describe('an upstream that is read with credentials', () => {
  it('gives nothing to anybody unless the operator says so, and is not even asked', async () => {
    await using opened = new AsyncDisposableStack()
    const upstream = new FakeUpstream('registry.corp')
    upstream.push('team/app', '1', 'secret')
    upstream.isShared = false
    const { node } = await openCluster(opened, { size: 2, upstreams: [upstream] })
    const { naming, pull } = node(0).registry
    const name = parseRepository('registry.corp/team/app')
    for (const asked of [
      { repository: name },
      { repository: parseRepository('team/app'), ns: 'registry.corp' },
    ]) {
      expect(() => naming.forRead(asked)).toThrow(
        expect.objectContaining({ code: 'DENIED', message: expect.stringContaining('"share": true') }),
      )
    }
    await expect(pull.getManifest(name, { tag: parseTag('1') })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(upstream.asked).toEqual([])
  })
})

describe('a member that says of an upstream what is not so', () => {
  const dayMs = 24 * 3_600_000
  const lie = { answer: 'failed', trouble: 'paused', reason: 'asks to wait', retryAfterMs: dayMs } as const

  async function openLied(opened: AsyncDisposableStack, { reaches }: { reaches: boolean }) {
    const upstream = new FakeUpstream()
    const digest = upstream.push('library/alpine', '3', 'first')
    const cluster = await openCluster(opened, {
      size: 2,
      upstreams: (index) => (reaches || index === 1 ? [upstream] : []),
    })
    const liar = cluster.node(1)
    const { mirror } = liar
    liar.mirror = { ...mirror, answer: async () => lie }
    const stop = (): void => {
      liar.mirror = mirror
    }
    return { digest, cluster, node: cluster.node(0), stop }
  }

  it('keeps a node that reaches it from it for half a minute at most', async () => {
    await using opened = new AsyncDisposableStack()
    const { digest, cluster, node } = await openLied(opened, { reaches: true })
    await get(node).catch(() => undefined)
    cluster.clock.advance(30_000)
    expect(await get(node)).toMatchObject({ digest })
  })

  it('keeps one that does not no longer than it goes on lying', async () => {
    await using opened = new AsyncDisposableStack()
    const { digest, cluster, node, stop } = await openLied(opened, { reaches: false })
    await expect(get(node)).rejects.toMatchObject({ code: 'TOOMANYREQUESTS', retryAfterMs: dayMs })
    stop()
    cluster.clock.advance(30_000)
    expect(await get(node)).toMatchObject({ digest })
  })
})

/** Five nodes under what an operator does to all of them: a restart of each, rotations of the cluster's secret and of its authority. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callRunningNode } from '../../node/admin/client.ts'
import { type Proposal, signProposal } from '../../node/authority-proposal.ts'
import type { ShownAuthority } from '../../node/operations/authority.ts'
import type { PeerList } from '../../node/operations/operations.ts'
import type { Policy } from '../../src/records/records.ts'
import { parseToken } from '../../src/swarm/cluster/token.ts'
import { identity } from '../records/fixture.ts'
import { until } from '../swarm/fixture.ts'
import { type Client, openClient, pullManifest, pushItem } from './client.ts'
import { makeImage } from './image.ts'
import { run, showOutputOnFailure } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'

/** For what takes its time where all processors are busy. */
const patienceMs = 30_000

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')
/** Over the socket, as commands do: a process for each question would be most of what the test takes. */
const ask = async <T>({ data }: Registry, what: string, params: object = {}): Promise<T> => {
  const answer = await callRunningNode(data, what, params, () => undefined)
  if (answer === undefined) throw new Error(`no node runs on ${data}`)
  return answer.result as T
}
const tokenOf = async (registry: Registry): Promise<string> =>
  (await ask<{ token: string }>(registry, 'token')).token
const secretOf = async (registry: Registry): Promise<string> =>
  Buffer.from(parseToken(await tokenOf(registry)).secret).toString('hex')
const receivedBytes = 'shoal_exchange_received_bytes_total'
/** Of a metric, with whatever labels, at all of them. */
const sumOf = async (registries: Registry[], metric: string): Promise<number> => {
  const texts = await Promise.all(
    registries.map(async ({ port }) => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()),
  )
  const values = texts.flatMap((text) => [
    ...text.matchAll(new RegExp(`^${metric}(?:\\{.*\\})? (\\d+)$`, 'gm')),
  ])
  return values.reduce((sum, [, value]) => sum + Number(value), 0)
}
const membersOf = async (registry: Registry): Promise<number> =>
  (await ask<PeerList>(registry, 'peers')).members.length

describe('five nodes that go on pulling from each other', requires('shoal'), () => {
  const opened = new AsyncDisposableStack()
  const all: Registry[] = []
  let first: Registry
  let others: Registry[]
  let clients: Client[]

  beforeAll(async () => {
    first = opened.use(await openRegistry())
    const flags = ['--join', await tokenOf(first)]
    others = await Promise.all(
      Array.from({ length: 4 }, async () => opened.use(await openRegistry({ flags }))),
    )
    all.push(first, ...others)
    clients = all.map(({ port }) => opened.use(openClient(port)))
    await until(
      'a mesh',
      async () => (await Promise.all(all.map(membersOf))).every((count) => count === 4),
      patienceMs,
    )
  }, 60_000)
  afterAll(() => opened.disposeAsync())
  showOutputOnFailure(() => all)

  /** None of the pulls may fail. `some` resolves once so many more have ended. */
  async function whilePulling(
    name: string,
    work: (some: (count: number) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    let isOver = false
    let pulls = 0
    const pull = async (from: number): Promise<void> => {
      for (let turn = 0; !isOver; turn++) {
        const to = (from + 1 + (turn % 4)) % 5
        await pushAndPull(clients[from], clients[to], `${name}-${from}-${turn}`)
        pulls++
      }
    }
    const pulling = Promise.all(clients.map((_, from) => pull(from)))
    const some = async (count: number): Promise<void> => {
      const soFar = pulls
      await until('pulls to go on', () => pulls >= soFar + count, patienceMs)
    }
    await Promise.race([pulling, work(some)])
    isOver = true
    await pulling
  }

  test('are restarted one after the other, and move no byte of what was pushed', async () => {
    // Who has yet to tell of its room gets copies later, which would be seen as moved by the restarts.
    const isPlacedOnAll = async () => (await sumOf(all, 'shoal_copies_members')) === all.length ** 2
    await until('all to place copies on all', isPlacedOnAll, patienceMs)
    for (const [from, client] of clients.entries())
      await pushItem(
        client,
        'rolling/app',
        `${from}`,
        makeImage({ seed: `rolling ${from}`, layerBytes: [200_000] }),
      )
    const listings = async () =>
      await Promise.all(clients.map((client) => client.ask('GET', '/v2/rolling/app/tags/list')))
    const isHeard = async () => (await listings()).every(({ body }) => body.includes('["0","1","2","3","4"]'))
    await until('all to have heard of all', isHeard, patienceMs)
    let before = -1
    let sinceMs = 0
    const isSettled = async (): Promise<boolean> => {
      const isShort = (await sumOf(all, 'shoal_copies_short_images')) > 0
      const now = isShort ? -1 : await sumOf(all, receivedBytes)
      if (now !== before) sinceMs = performance.now()
      before = now
      return now >= 200_000 * all.length && performance.now() - sinceMs > 1_000
    }
    await until('all copies to be there', isSettled, patienceMs)
    // A node counts from its start on, so what it counted before goes with its restart.
    let gone = 0
    for (const node of all) {
      gone += await sumOf([node], receivedBytes)
      await node.stop()
      await node.start()
      const isMesh = async () => (await Promise.all(all.map(membersOf))).every((count) => count === 4)
      await until('it to be back', isMesh, patienceMs)
    }
    expect(gone + (await sumOf(all, receivedBytes)) - before).toBe(0)
  })

  test('are led by another authority: handed over, replaced while the one before signs, handed over twice at once', async () => {
    const [second, third] = others as [Registry, Registry]
    const administrators = [identity(1), identity(2), identity(3)]
    const access = [
      { repositories: 'rotation/**', who: ['anonymous'], may: ['pull', 'push'] },
      { repositories: 'closed/**', who: ['robot:deploy'], may: ['pull'] },
    ]
    const recovery = { keys: administrators.map(({ peerId }) => peerId), need: 2 }
    const policy = { access, recovery }
    const governs = async (node: Registry) => (await ask<ShownAuthority>(node, 'authority-show')).now
    const allFollow = async (isRight: (keys: Set<string>) => boolean) =>
      await until(
        'all to follow one key',
        async () => isRight(new Set(await Promise.all(all.map(governs)))),
        patienceMs,
      )
    const followed = async (now: string) => await allFollow((keys) => keys.size === 1 && keys.has(now))

    await ask(first, 'policy-set', { policy })
    const { secret } = await ask<{ secret: string }>(first, 'account-robot', { name: 'deploy', groups: [] })
    const authorization = `Basic ${Buffer.from(`robot$deploy:${secret}`).toString('base64')}`
    /** 404 where it is let in, as nothing is there, and 401 else. */
    const statuses = async () =>
      await Promise.all(
        clients.map(
          async (client) =>
            (await client.ask('GET', '/v2/closed/app/tags/list', { headers: { authorization } })).status,
        ),
      )
    const letIn = async () =>
      await until(
        'the account to be let in everywhere',
        async () => (await statuses()).every((one) => one === 404),
        patienceMs,
      )
    await letIn()
    await whilePulling('authority', async (some) => {
      await some(5)
      const rotated = await ask<ShownAuthority>(first, 'authority-rotate')
      await followed(rotated.now)
      await letIn()

      let proposal = await ask<Proposal>(second, 'authority-propose')
      for (const key of administrators.slice(1)) proposal = signProposal(proposal, key)
      let isReplaced = false
      const signing = (async () => {
        while (!isReplaced) await ask(first, 'policy-set', { policy }).catch(() => undefined)
      })()
      const replaced = await ask<ShownAuthority>(second, 'authority-apply', { proposal })
      await followed(replaced.now)
      isReplaced = true
      await signing
      await expect(ask(first, 'policy-set', { policy })).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
      await followed(replaced.now)
      await letIn()

      const { key } = await ask<{ key: string }>(second, 'authority-export', { drop: false })
      await ask(third, 'authority-import', { key })
      const twice = await Promise.allSettled(
        [second, third].map((node) => ask<ShownAuthority>(node, 'authority-rotate')),
      )
      await allFollow((keys) => keys.size === 1 && !keys.has(replaced.now))
      // Who heard of the other's first has nothing to hand over.
      for (const one of twice)
        if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'NOT_PERMITTED' })
      const made = twice.flatMap((one) => (one.status === 'fulfilled' ? one.value.now : []))
      expect(made).toContain(await governs(first))
      await some(10)
    })
    await letIn()
    const shown = await Promise.all(all.map((node) => ask<ShownAuthority>(node, 'authority-show')))
    expect(shown.filter(({ held }) => held)).toHaveLength(1)
    const holder = all[shown.findIndex(({ held }) => held)] ?? first
    // Back to where the tests begin.
    const { key } = await ask<{ key: string }>(holder, 'authority-export', { drop: true })
    await ask(first, 'authority-import', { key })
    await ask(first, 'account-disable', { name: 'robot$deploy', disabled: true })
    await until('it to be out everywhere', async () => (await statuses()).every((one) => one === 401))
    await ask(first, 'policy-set', { policy: {} })
    await until('no rules', async () =>
      (await Promise.all(all.map((node) => ask<Policy>(node, 'policy-show')))).every(
        (one) => one.access === undefined,
      ),
    )
  })

  test('have another secret, restart nobody, and are joined by whoever may after it', async () => {
    const before = await secretOf(first)
    await whilePulling('secret', async (some) => {
      await some(5)
      await run(shoal, ['token', 'rotate', '--grace', '4s', '--data', first.data])
      const ended = (count: number) => all.map((node) => node.output().split('"secrets":1').length > count)
      await until('all to have it, and the old one to end', () => ended(1).every(Boolean), patienceMs)
      await some(10)
    })
    const next = await secretOf(first)
    expect(next).not.toBe(before)
    expect(await Promise.all(all.map(secretOf))).toEqual(all.map(() => next))
    await until('a mesh', async () => (await Promise.all(all.map(membersOf))).every((count) => count === 4))

    // Its flags still have the old token.
    const [again] = others
    await again?.stop()
    await again?.start()
    await until('it to be back', async () => again !== undefined && (await membersOf(again)) === 4)
    expect(again?.output()).toMatch(/"level":40.*retired/)

    const invitation = await shoalAt(first, 'token', 'create', '--expires', '1h')
    const invited = opened.use(await openRegistry({ flags: ['--join', invitation] }))
    all.push(invited)
    await until('it to be a member', async () => (await membersOf(invited)) === 5)
    expect(await secretOf(invited)).toBe(next)
    await pushAndPull(clients[0], opened.use(openClient(invited.port)), 'invited')

    const policy = path.join(first.data, 'policy.json')
    await writeFile(policy, JSON.stringify({ members: 'approved' }))
    expect((await shoalAt(first, 'policy', 'set', policy)).split('\n')).toHaveLength(9)
    const guest = opened.use(
      await openRegistry({ flags: ['--join', await tokenOf(first), '--name', 'late'] }),
    )
    all.push(guest)
    const ready = async (): Promise<string> => (await fetch(`http://127.0.0.1:${guest.port}/readyz`)).text()
    await until('it to be a guest', async () => (await ready()).includes('has to be approved'))
    expect(await membersOf(first)).toBe(5)
    expect(await shoalAt(first, 'members')).toMatch(/^late +guest at 127\.0\.0\.1/m)
    await shoalAt(first, 'member', 'approve', 'late')
    await until('it to be ready', async () => (await ready()) === 'ready\n' && (await membersOf(guest)) > 0)
    await until('it to be a member', async () => (await membersOf(first)) === 6)
  })
})

async function shoalAt({ data }: Registry, ...words: string[]): Promise<string> {
  return (await run(shoal, [...words, '--data', data])).stdout.trim()
}

async function pushAndPull(from: Client | undefined, to: Client | undefined, seed: string): Promise<void> {
  if (from === undefined || to === undefined) throw new Error('five nodes')
  const image = makeImage({ seed, layerBytes: [200_000] })
  await pushItem(from, 'rotation/app', seed, image)
  const pulled = await pullManifest(to, 'rotation/app', seed)
  expect(pulled.body.equals(image.manifest.bytes)).toBe(true)
  for (const { descriptor, bytes } of image.layers) {
    const blob = await to.ask('GET', `/v2/rotation/app/blobs/${descriptor.digest}`)
    expect([blob.status, blob.body.equals(bytes)]).toEqual([200, true])
  }
}

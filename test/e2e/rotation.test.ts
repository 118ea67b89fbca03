/** A rotation of the cluster's secret under five nodes that go on pulling from each other, and who joins them after it. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { callRunningNode } from '../../node/admin/client.ts'
import type { PeerList } from '../../node/operations/operations.ts'
import { parseToken } from '../../src/swarm/cluster/token.ts'
import { until } from '../swarm/fixture.ts'
import { type Client, openClient, pullManifest, pushItem } from './client.ts'
import { makeImage } from './image.ts'
import { run, showOutput } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')
/** Over the socket, as commands do: a process for each question would be most of what the test takes. */
const ask = async <T>({ data }: Registry, what: string): Promise<T> => {
  const answer = await callRunningNode(data, what, {}, () => undefined)
  if (answer === undefined) throw new Error(`no node runs on ${data}`)
  return answer.result as T
}
const tokenOf = async (registry: Registry): Promise<string> =>
  (await ask<{ token: string }>(registry, 'token')).token
const secretOf = async (registry: Registry): Promise<string> =>
  Buffer.from(parseToken(await tokenOf(registry)).secret).toString('hex')
const membersOf = async (registry: Registry): Promise<number> =>
  (await ask<PeerList>(registry, 'peers')).members.length

test(
  'a rotation reaches five nodes, fails none of their pulls, and restarts nobody',
  requires('shoal'),
  async () => {
    await using stack = new AsyncDisposableStack()
    const first = stack.use(await openRegistry())
    const old = await tokenOf(first)
    const others = await Promise.all(
      Array.from({ length: 4 }, async () => stack.use(await openRegistry({ flags: ['--join', old] }))),
    )
    const all = [first, ...others]
    const clients = all.map(({ port }) => stack.use(openClient(port)))
    try {
      await until(
        'a mesh',
        async () => (await Promise.all(all.map(membersOf))).every((count) => count === 4),
        20_000,
      )
      let isOver = false
      let pulls = 0
      const pull = async (from: number): Promise<void> => {
        for (let turn = 0; !isOver; turn++) {
          const to = (from + 1 + (turn % 4)) % 5
          await pushAndPull(clients[from], clients[to], `${from}-${turn}`)
          pulls++
        }
      }
      const pulling = Promise.all(all.map((_, from) => pull(from)))
      pulling.catch(() => undefined)
      await until('pulls to go on', () => pulls >= 5)
      const before = await secretOf(first)
      await run(shoal, ['token', 'rotate', '--grace', '4s', '--data', first.data])
      const next = await secretOf(first)
      expect(next).not.toBe(before)
      const ended = (count: number) => all.map((node) => node.output().split('"secrets":1').length > count)
      await until('all to have it, and the old one to end', () => ended(1).every(Boolean), 15_000)
      const soFar = pulls
      await until('pulls to go on after that', () => pulls >= soFar + 10)
      isOver = true
      await pulling
      expect(await Promise.all(all.map(secretOf))).toEqual(all.map(() => next))
      expect(await Promise.all(all.map(membersOf))).toEqual([4, 4, 4, 4, 4])

      // Its flags still have the old token.
      const [again] = others
      await again?.stop()
      await again?.start()
      await until('it to be back', async () => again !== undefined && (await membersOf(again)) === 4, 10_000)
      expect(again?.output()).toMatch(/"level":40.*retired/)

      const invitation = await shoalAt(first, 'token', 'create', '--expires', '1h')
      const invited = stack.use(await openRegistry({ flags: ['--join', invitation] }))
      all.push(invited)
      await until('it to be a member', async () => (await membersOf(invited)) === 5, 10_000)
      expect(await secretOf(invited)).toBe(next)
      await pushAndPull(clients[0], stack.use(openClient(invited.port)), 'invited')

      const policy = path.join(first.data, 'policy.json')
      await writeFile(policy, JSON.stringify({ members: 'approved' }))
      expect((await shoalAt(first, 'policy', 'set', policy)).split('\n')).toHaveLength(9)
      const guest = stack.use(
        await openRegistry({ flags: ['--join', await tokenOf(first), '--name', 'late'] }),
      )
      all.push(guest)
      const ready = async (): Promise<string> => (await fetch(`http://127.0.0.1:${guest.port}/readyz`)).text()
      await until('it to be a guest', async () => (await ready()).includes('has to be approved'), 10_000)
      expect(await membersOf(first)).toBe(5)
      expect(await shoalAt(first, 'members')).toMatch(/^late +guest at 127\.0\.0\.1/m)
      await shoalAt(first, 'member', 'approve', 'late')
      await until('it to be ready', async () => (await ready()) === 'ready\n' && (await membersOf(guest)) > 0)
      await until('it to be a member', async () => (await membersOf(first)) === 6, 10_000)
    } catch (error) {
      showOutput(all)
      throw error
    }
  },
)

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

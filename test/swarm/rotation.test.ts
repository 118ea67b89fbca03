/** A new secret on its way through members that are connected, over real sockets. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Metrics, noMetrics } from '../../src/base/base.ts'
import {
  findAuthority,
  joinCluster,
  openIdentity,
  openSecrets,
  type RotatingSecrets,
  startCluster,
  tokenOf,
} from '../../src/swarm/swarm.ts'
import { ManualClock } from '../records/fixture.ts'
import { startSwarm, type TestSwarm, temporaryFolder, until } from './fixture.ts'

const graceMs = 3600_000
let stack: AsyncDisposableStack
let clock: ManualClock
beforeEach(() => {
  stack = new AsyncDisposableStack()
  clock = new ManualClock()
})
afterEach(async () => {
  await stack.disposeAsync()
})

interface RotatingSwarm extends TestSwarm {
  secrets: RotatingSecrets
  /** Who left it. */
  left: string[]
  /** How many of those who are connected are not known to have the newest secret. */
  lacking: () => number
}

async function start(
  folder: string,
  bootstrap: string[] = [],
  banned = new Set<string>(),
): Promise<RotatingSwarm> {
  const secrets = await openSecrets(folder, { clock })
  const isBanned = (peer: string): boolean => banned.has(peer)
  let lacking: () => unknown = () => Number.NaN
  const gauge: Metrics['gauge'] = (name, read) => {
    if (name === 'shoal_swarm_connected_without_newest_secret') lacking = read
  }
  const started = await startSwarm(stack, {
    cluster: secrets.cluster(),
    secrets,
    folder,
    bootstrap,
    isBanned,
    metrics: { ...noMetrics, gauge },
  })
  const left: string[] = []
  started.swarm.members.onChange(({ kind, peer }) => kind === 'leave' && left.push(peer))
  return { ...started, secrets, left, lacking: () => Number(lacking()) }
}

async function folders(count: number): Promise<string[]> {
  const made: string[] = []
  for (let index = 0; index < count; index++) made.push(await temporaryFolder(stack))
  const [first = '', ...others] = made
  const token = tokenOf(await startCluster(first))
  for (const other of others) await joinCluster(other, token)
  return made
}

const peerOf = async (folder: string): Promise<string> => (await openIdentity(folder)).peerId
const newest = ({ secrets }: RotatingSwarm): string | undefined => secrets.names()[0]?.protocol
const knows = ({ swarm }: RotatingSwarm, other: RotatingSwarm): boolean =>
  swarm.members.peers().includes(other.swarm.peerId)

async function rotate(folder: string, { secrets }: RotatingSwarm, members: string[]): Promise<void> {
  const authority = await findAuthority(folder)
  if (authority === undefined) throw new Error('the cluster was started there')
  await secrets.rotate({ authority, members: await Promise.all(members.map(peerOf)), graceMs })
}

test('reaches every member over its connections, which stand, and one that was away when it comes back', async () => {
  const [first = '', second = '', third = '', away = ''] = await folders(4)
  const a = await start(first)
  const b = await start(second, [a.address])
  // Knows the one that rotates by the other alone.
  const c = await start(third, [b.address])
  const all = [a, b, c]
  await until('a mesh', () => all.every((one) => one.swarm.members.peers().length === 2))
  await rotate(first, a, [first, second, third, away])
  await until('all to have it', () => all.every((one) => newest(one) === newest(a)))
  const d = await start(away, [c.address])
  expect(newest(d)).not.toBe(newest(a))
  await until('it to have it, too, and all to know', () =>
    [...all, d].every(
      (one) => newest(one) === newest(a) && one.swarm.members.peers().length === 3 && one.lacking() === 0,
    ),
  )
  clock.ms += graceMs
  await until('the old one to be gone', () =>
    [...all, d].every(({ secrets }) => secrets.names().length === 1),
  )
  const e = await start(await joined(a), [b.address])
  await until('one that joins with the new token', () => knows(e, a) && knows(e, d))
  expect([...all, d].flatMap(({ left }) => left)).toEqual([])
})

async function joined({ secrets }: RotatingSwarm): Promise<string> {
  const folder = await temporaryFolder(stack)
  await joinCluster(folder, tokenOf(secrets.cluster()))
  return folder
}

test('is not given to who comes with the old secret later, and lets go of it when that ends', async () => {
  const [first = '', second = '', late = ''] = await folders(3)
  const a = await start(first)
  const b = await start(second, [a.address])
  await until('the two to meet', () => knows(a, b) && knows(b, a))
  await rotate(first, a, [first, second])
  await until('both to have it', () => newest(b) === newest(a))
  const stranger = await start(late, [a.address, b.address])
  await until('it to be a member meanwhile', () => knows(a, stranger) && knows(b, stranger))
  clock.ms += graceMs
  await until('it to be alone', () => stranger.swarm.members.peers().length === 0)
  expect(newest(stranger)).not.toBe(newest(a))
  expect(knows(a, stranger) || knows(b, stranger)).toBe(false)
  expect([...a.left, ...b.left]).toEqual([stranger.swarm.peerId, stranger.swarm.peerId])
})

test('is not given to a member that is banned, though it is on the list', async () => {
  const [first = '', second = ''] = await folders(2)
  const banned = new Set<string>()
  const a = await start(first, [], banned)
  const b = await start(second, [a.address])
  await until('the two to meet', () => knows(a, b) && knows(b, a))
  banned.add(b.swarm.peerId)
  await rotate(first, a, [first, second])
  a.swarm.reconsider()
  await until('they to part', () => !knows(b, a))
  expect(newest(b)).not.toBe(newest(a))
})

test('of two at once is one, and the token of the one that lost leads to it', async () => {
  const [first = '', second = ''] = await folders(2)
  const both = [await openSecrets(first, { clock }), await openSecrets(second, { clock })]
  const authority = await findAuthority(first)
  if (authority === undefined) throw new Error('the cluster was started there')
  const members = await Promise.all([first, second].map(peerOf))
  for (const secrets of both) await secrets.rotate({ authority, members, graceMs })
  const tokens = both.map((secrets) => tokenOf(secrets.cluster()))
  const a = await start(first)
  const b = await start(second, [a.address])
  await until('them to agree', () => newest(a) === newest(b))
  clock.ms += graceMs
  for (const token of tokens) {
    const folder = await temporaryFolder(stack)
    await joinCluster(folder, token)
    const late = await start(folder, [a.address, b.address])
    await until('a node that comes by it to have the secret', () => newest(late) === newest(a))
    await until('it to be a member', () => knows(late, a) && knows(a, late))
  }
})

/** Whole nodes on hosts of their own: the policy, the key that signs it, the token's rotation, and a clock that is wrong. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect } from 'vitest'
import { pushManifest, UnexpectedAnswerError } from '../e2e/client.ts'
import { requires } from '../e2e/requirement.ts'
import { until } from '../swarm/fixture.ts'
import { type ClusterNetwork, testOnNetwork } from './cluster-network.ts'
import { type ClusterNode, isMesh } from './cluster-node.ts'
import { pushSmall, resolveTag, smallManifest } from './names.ts'
import { networkNeeds } from './network.ts'

const spreadMs = 30_000

const test = testOnNetwork(3)

/** The first holds the authority key. */
async function openCluster(hosts: ClusterNetwork, size: number): Promise<ClusterNode[]> {
  const first = await hosts.open(0, { flags: ['--no-mdns'] })
  const flags = ['--no-mdns', '--join', await first.shoal('token')]
  const cluster = [first]
  const others = Array.from({ length: size - 1 }, (_, index) => index + 1)
  cluster.push(...(await Promise.all(others.map((index) => hosts.open(index, { flags })))))
  await until('a mesh', () => isMesh(cluster), spreadMs)
  return cluster
}

async function setPolicy(node: ClusterNode, policy: unknown): Promise<void> {
  const file = node.folder.at('policy.json')
  await writeFile(file, JSON.stringify(policy))
  await node.shoal('policy', 'set', file)
}

async function hasPolicy(node: ClusterNode, text: string): Promise<boolean> {
  return (await node.shoal('policy', 'show')).includes(text)
}

/** The status, code and message with which a push is refused. */
async function refusalOf(
  node: ClusterNode,
  repository: string,
  tag: string,
  seed: string,
): Promise<unknown[]> {
  try {
    await pushSmall(node.client, repository, tag, smallManifest(seed))
  } catch (error) {
    if (!(error instanceof UnexpectedAnswerError)) throw error
    const { errors } = JSON.parse(error.answer.body.toString()) as {
      errors: { code: string; message: string }[]
    }
    return [error.answer.status, errors[0]?.code, errors[0]?.message]
  }
  throw new Error('the push was not refused')
}

const resolves = async (node: ClusterNode, repository: string, tag: string, seed: string): Promise<boolean> =>
  (await resolveTag(node.client, repository, tag)) === smallManifest(seed).descriptor.digest

describe('a cluster on a network of its own', requires(...networkNeeds), () => {
  test.concurrent('holds a push to the policy: who may write where, what is immutable, who is banned', async ({
    hosts,
  }) => {
    const [a, b, c] = await openCluster(hosts, 3)
    if (!a || !b || !c) throw new Error('three nodes')
    await pushSmall(c.client, 'team/app', 'before', smallManifest('before'))
    await until('what came before', () => resolves(a, 'team/app', 'before', 'before'), spreadMs)
    await setPolicy(a, {
      rules: [{ repositories: 'team/**', authors: [a.peer, b.peer] }],
      immutable: [{ repositories: '**', tags: 'v*' }],
    })
    await until(
      'the policy on all',
      async () => (await hasPolicy(b, 'team/**')) && hasPolicy(c, 'team/**'),
      spreadMs,
    )

    expect(await refusalOf(c, 'team/app', '1', 'from c')).toEqual([
      403,
      'DENIED',
      expect.stringContaining('rule 1 of the policy lets'),
    ])
    await pushSmall(b.client, 'team/app', 'v1', smallManifest('from b'))
    await pushSmall(c.client, 'free/app', 'v1', smallManifest('from c'))
    await until(
      'both on a',
      async () => {
        return (await resolves(a, 'team/app', 'v1', 'from b')) && resolves(a, 'free/app', 'v1', 'from c')
      },
      spreadMs,
    )
    expect(await refusalOf(b, 'team/app', 'v1', 'moved')).toEqual([
      403,
      'DENIED',
      expect.stringContaining('tags "v*" of "**" are immutable'),
    ])
    const deletion = await b.client.ask('DELETE', '/v2/team/app/manifests/v1')
    expect(deletion.status).toBe(403)
    await expect(b.shoal('policy', 'ban', c.peer)).rejects.toThrow('does not hold the authority key')

    await a.shoal('policy', 'ban', c.peer)
    await until('the banned one to be alone', async () => (await c.peers()).length === 0, spreadMs)
    await until('the others without it', () => isMesh([a, b]), spreadMs)
    // It dials again and again, and is heard by nobody; what it had published stays.
    await pushSmall(c.client, 'free/app', 'late', smallManifest('too late')).catch(expectDenied)
    const refusals = () => a.client.ask('GET', '/metrics').then(({ body }) => body.toString())
    await until(
      'it to be refused',
      async () => {
        return /connections_refused_total\{reason="unwelcome"\} [1-9]/.test(await refusals())
      },
      spreadMs,
    )
    for (const node of [a, b]) {
      expect(await resolveTag(node.client, 'free/app', 'late')).toBeUndefined()
      expect(await resolves(node, 'team/app', 'before', 'before')).toBe(true)
    }
    await a.shoal('policy', 'unban', c.peer)
    await until('it to be back', () => isMesh([a, b, c]), spreadMs)
  })

  test.concurrent('lets the authority key move to another node', async ({ hosts }) => {
    const [a, b] = await openCluster(hosts, 2)
    if (!a || !b) throw new Error('two nodes')
    const key = await a.shoal('authority', 'export', '--drop')
    const file = b.folder.at('authority.key')
    await writeFile(file, `${key}\n`, { mode: 0o600 })
    await b.shoal('authority', 'import', file)
    for (const node of [a, b]) {
      await node.stop()
      await node.start(['--no-mdns'])
    }
    await until('a mesh', () => isMesh([a, b]), spreadMs)
    await expect(setPolicy(a, {})).rejects.toThrow('does not hold the authority key')
    await expect(a.shoal('authority', 'export')).rejects.toThrow('does not exist')
    await setPolicy(b, { immutable: [{ repositories: 'moved/**', tags: '*' }] })
    await until('the policy on the first', () => hasPolicy(a, 'moved/**'), spreadMs)
  })

  test.concurrent('locks out who has only the old token after a rotation, and keeps everything', async ({
    hosts,
  }) => {
    const [a, b, holder] = await openCluster(hosts, 3)
    if (!a || !b || !holder) throw new Error('three nodes')
    await pushSmall(b.client, 'team/app', '1', smallManifest('kept'))
    const old = await a.shoal('token')
    // Away until the old secret has ended; it comes back with that token alone.
    await holder.stop()
    const next = await a.shoal('token', 'rotate', '--grace', '1s')
    expect(next).not.toBe(old)
    const ended = (node: ClusterNode) => node.output().includes('"secrets":1')
    await until('the old one to end', () => ended(a) && ended(b), spreadMs)
    await holder.start(['--no-mdns', '--join', old])
    await until('the two by themselves', () => isMesh([a, b]), spreadMs)
    await pushSmall(a.client, 'team/app', '2', smallManifest('after'))
    await until('the tag on the other', () => resolves(b, 'team/app', '2', 'after'), spreadMs)
    await until(
      'it to be turned away',
      () => a.output().includes('left before the handshake was over'),
      spreadMs,
    )
    expect(await resolves(a, 'team/app', '1', 'kept')).toBe(true)
    expect(await resolveTag(holder.client, 'team/app', '2')).toBeUndefined()
    expect(await holder.peers()).toEqual([])

    await holder.stop()
    await holder.start(['--no-mdns', '--join', next])
    await until('it to be in again', () => isMesh([a, b, holder]), spreadMs)
    await until('the tag there too', () => resolves(holder, 'team/app', '2', 'after'), spreadMs)
  })

  test.concurrent('lets a node whose clock is ten minutes ahead publish nothing, it says what is wrong, and goes on once the clock is set', async ({
    hosts,
  }) => {
    const [a, b] = await openCluster(hosts, 2)
    if (!a || !b) throw new Error('two nodes')
    await pushSmall(a.client, 'team/app', '1', smallManifest('right'))
    const preload = path.join(import.meta.dirname, 'stepped-clock.ts')
    const clock = a.folder.at('clock of the third')
    await writeFile(clock, '600000')
    const fast = await hosts.open(2, {
      flags: ['--no-mdns', '--join', await a.shoal('token')],
      env: { NODE_OPTIONS: `--import=${preload}`, TEST_CLOCK: clock },
    })
    await until('the mesh', () => isMesh([a, b, fast]), spreadMs)
    await until('the tag', () => resolves(fast, 'team/app', '1', 'right'), spreadMs)
    const readiness = async () => (await fast.client.ask('GET', '/readyz')).body.toString()
    await until('it to doubt its clock', async () => (await readiness()).includes('clock is'), 60_000)
    expect(await readiness()).toMatch(/this node's clock is (59\d|60\d) s ahead of those of most members/)
    expect((await fast.client.ask('GET', '/readyz')).status).toBe(503)
    await expect(fast.shoal('doctor')).rejects.toThrow(/FAULT clock +this node's clock is/)
    expect(fast.output()).toContain('ahead of those of most members')

    const early = pushSmall(fast.client, 'team/app', '1', smallManifest('from the future'))
    await expect(early).rejects.toMatchObject({ answer: { status: 503 } })
    await expect(fast.shoal('tag', 'team/app:1', 'team/app:2')).rejects.toThrow(
      /clock is (59\d|60\d) s ahead/,
    )
    for (const node of [a, b]) {
      expect(await resolves(node, 'team/app', '1', 'right')).toBe(true)
      expect((await node.client.ask('GET', '/readyz')).status).toBe(200)
    }
    await writeFile(clock, '0')
    fast.signal('SIGUSR2')
    await until('its clock to be right', async () => (await readiness()) === 'ready\n', spreadMs)
    await pushSmall(fast.client, 'team/app', '1', smallManifest('in time'))
    for (const node of [a, b]) {
      await until('the tag', () => resolves(node, 'team/app', '1', 'in time'), spreadMs)
    }
    await pushManifest(a.client, 'team/app', '1', smallManifest('right'))
  })
})

function expectDenied(error: unknown): void {
  if (!(error instanceof UnexpectedAnswerError) || error.answer.status !== 403) throw error
}

/** Nodes of one cluster, each a process of its own, on loopback or on hosts of a network of namespaces. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, readFile } from 'node:fs/promises'
import http from 'node:http'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { callRunningNode } from '../../../node/admin/client.ts'
import type { ListedPage, PeerList } from '../../../node/operations/operations.ts'
import { killAtExit } from '../../../test/e2e/kill-at-exit.ts'
import type { NetworkHost } from '../../../test/netns/network.ts'
import { environment } from '../command.ts'
import { type Answer, expectStatus, type RequestOptions, request } from '../request.ts'
import { defaultShoal } from '../shoal.ts'
import { freePorts, SubjectError } from '../subject.ts'

export interface Node extends AsyncDisposable {
  readonly data: string
  /** Its registry, as seen where it runs. */
  readonly url: string
  readonly pid: number
  /** When it was spawned last, on `performance.now`'s clock. */
  readonly spawnedAt: number
  /** One request to its registry; throws `UNEXPECTED_ANSWER` unless the status is the one given. */
  expect(status: number, path: string, options?: Omit<RequestOptions, 'signal' | 'agent'>): Promise<Answer>
  /** What the registry answers to GET, whatever the status. */
  get(path: string): Promise<Answer>
  peers(): Promise<PeerList>
  /** The tags of a repository and what they point to, from the node's ledger. */
  tags(repository: string): Promise<Map<string, string>>
  /** How many tags it has taken from other members since it was started: to ask costs it little, as `tags` does not. */
  learned(): Promise<number>
  token(): Promise<string>
  policy(): Promise<unknown>
  start(): Promise<void>
  stop(): Promise<void>
}

export interface NodeOptions {
  /** Its data lies in `folder/data`, which may be there already. */
  folder: string
  flags?: string[]
  /** Where it runs; default on loopback, with ports of its own. */
  host?: NetworkHost
}

const startDeadlineMs = 120_000
const door = path.join(import.meta.dirname, '../../../test/netns/door.ts')

export async function openNode({ folder, flags = [], host }: NodeOptions): Promise<Node> {
  await using cleanup = new AsyncDisposableStack()
  const data = path.join(folder, 'data')
  await mkdir(folder, { recursive: true })
  const socket = path.join(folder, 'http.sock')
  const [httpPort, p2pPort] = host === undefined ? await freePorts() : [5000, 5001]
  const p2p = host === undefined ? `127.0.0.1:${p2pPort}` : `0.0.0.0:${p2pPort}`
  const addresses = ['--http', `127.0.0.1:${httpPort}`, '--p2p', p2p, '--no-mdns']
  const serve = place(host, defaultShoal, ['serve', '--data', data, ...addresses, ...flags])
  if (host !== undefined) {
    const { command, args } = place(host, process.execPath, [door, socket, String(httpPort)])
    cleanup.use(await openProcess(command, args, path.join(folder, 'door.log'), /^open/m))
  }
  const agent = new http.Agent({ keepAlive: true, ...(host === undefined ? {} : { socketPath: socket }) })
  cleanup.defer(() => agent.destroy())
  let spawnedAt = 0
  let running: Process | undefined
  cleanup.defer(async () => await running?.[Symbol.asyncDispose]())
  const start = async (): Promise<void> => {
    spawnedAt = performance.now()
    const log = path.join(folder, 'log')
    running = await openProcess(serve.command, serve.args, log, /^shoal is ready/m)
  }
  await start()
  const url = `http://127.0.0.1:${httpPort}`
  const owned = cleanup.move()
  const call = async <T>(name: string, params: unknown): Promise<T> => {
    const answer = await callRunningNode(data, name, params, () => undefined)
    if (answer === undefined) throw new SubjectError(`no node runs on ${data}`)
    return answer.result as T
  }
  const { signal } = new AbortController()
  return {
    data,
    url,
    get pid() {
      return running?.pid ?? 0
    },
    get spawnedAt() {
      return spawnedAt
    },
    expect: (status, where, options = {}) => expectStatus(status, url + where, { ...options, agent, signal }),
    get: (where) => request(url + where, { agent, signal }),
    peers: () => call<PeerList>('peers', {}),
    async tags(repository) {
      const found = new Map<string, string>()
      let after: string | undefined
      do {
        const page = await call<ListedPage>('ls', { repository, ...(after === undefined ? {} : { after }) })
        for (const { name, digest } of page.rows) found.set(name, digest ?? '')
        after = page.next
      } while (after !== undefined)
      return found
    },
    async learned() {
      const { body } = await request(`${url}/metrics`, { agent, signal })
      return Number(
        /^shoal_records_stored_total\{kind="tag",from="member"\} (\d+)$/m.exec(body.toString())?.[1],
      )
    },
    token: async () => (await call<{ token: string }>('token', {})).token,
    policy: () => call('policy-show', {}),
    start,
    stop: async () => await running?.[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

export interface Cluster extends AsyncDisposable {
  readonly nodes: Node[]
}

export interface ClusterOptions {
  folder: string
  size: number
  hosts?: NetworkHost[]
  /** Of each node, beside those that it needs. */
  flags?: string[]
  /** And of that one alone. */
  flagsOf?(index: number): string[]
  /** Called with the folder of each node before it starts. */
  prepare?(folder: string, index: number): Promise<void>
  /** That the policy wants of what is pushed; default 1. */
  copies?: number
}

/** Starts a cluster and waits until all of its nodes are connected with all others. */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  const { folder, size, hosts = [], flags: all = [], flagsOf, prepare, copies = 1 } = options
  await using stack = new AsyncDisposableStack()
  const nodes: Node[] = []
  for (let index = 0; index < size; index++) {
    const token = await nodes[0]?.token()
    const given = [...all, ...(flagsOf?.(index) ?? [])]
    const flags = token === undefined ? given : [...given, '--join', token]
    const host = hosts[index]
    const place = path.join(folder, `node-${index}`)
    await mkdir(place, { recursive: true })
    await prepare?.(place, index)
    const options = { folder: place, flags, ...(host === undefined ? {} : { host }) }
    nodes.push(stack.use(await openNode(options)))
  }
  // One after the other, those that are left would look for each that is gone: minutes, where they are many.
  stack.defer(async () => void (await Promise.all(nodes.map(async (node) => await node.stop()))))
  await until('all nodes to be connected', () => isMesh(nodes), 120_000)
  // What is measured is not to be disturbed by copies, which come to whoever owns them.
  const [first] = nodes
  if (first !== undefined)
    await callRunningNode(first.data, 'policy-set', { policy: { copies } }, () => undefined)
  const owned = stack.move()
  return { nodes, [Symbol.asyncDispose]: async () => await owned.disposeAsync() }
}

export async function isMesh(nodes: Node[]): Promise<boolean> {
  for (const node of nodes) {
    if ((await node.peers()).members.length !== nodes.length - 1) return false
  }
  return true
}

/** Throws when it does not come true in time. Returns how long it took. */
export async function until(
  what: string,
  condition: () => Promise<boolean>,
  timeoutMs: number,
  pauseMs = 25,
): Promise<number> {
  const start = performance.now()
  while (!(await condition())) {
    if (performance.now() - start > timeoutMs) throw new SubjectError(`waited ${timeoutMs} ms for ${what}`)
    await delay(pauseMs)
  }
  return performance.now() - start
}

export interface Process extends AsyncDisposable {
  readonly pid: number
}

/** Starts a program whose output goes to a file, and waits until it says that it is ready. */
export async function openProcess(
  command: string,
  args: string[],
  log: string,
  ready: RegExp,
): Promise<Process> {
  const file = await open(log, 'w')
  const child = spawn(command, args, { stdio: ['ignore', file.fd, file.fd], env: environment })
  await file.close()
  killAtExit(child)
  const gone = once(child, 'exit')
  try {
    const said = async () => {
      if (isOver(child)) throw new SubjectError(`${command} ended: ${await tail(log)}`)
      return ready.test(await readFile(log, 'utf8'))
    }
    await until(`${command} ${args[0]} to be ready`, said, startDeadlineMs, 5)
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  return {
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      if (!isOver(child)) child.kill('SIGTERM')
      await gone
    },
  }
}

function isOver(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

async function tail(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).slice(-1500)
}

function place(host: NetworkHost | undefined, program: string, args: string[]) {
  return host === undefined ? { command: program, args } : host.command(program, args)
}

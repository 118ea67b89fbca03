/** `shoal serve` on a host of a test network, with the addresses that it has by default, and the ways to talk to it. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { callRunningNode } from '../../node/admin/client.ts'
import type { PeerList } from '../../node/operations/operations.ts'
import { type Client, openClient } from '../e2e/client.ts'
import { type Daemon, type RunResult, run, startDaemon } from '../e2e/process.ts'
import { openScratchFolder, type ScratchFolder } from '../e2e/scratch-folder.ts'
import type { NetworkHost } from './network.ts'

export interface ClusterNode extends AsyncDisposable {
  readonly name: string
  readonly host: NetworkHost
  readonly folder: ScratchFolder
  /** Talks to the registry on the host's own loopback. */
  readonly client: Client
  /** The node's peer id; it is known while the node runs. */
  readonly peer: string
  output(): string
  running(): boolean
  /** Of the node's process. */
  pid(): number | undefined
  /** `null` while it runs, and when a signal ended it. */
  exitCode(): number | null
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGUSR2'): void
  /** Peer ids of the members that it is connected with; none while it does not run. */
  peers(): Promise<string[]>
  /** Where each of these says it is. */
  sites(): Promise<(string | undefined)[]>
  /** Runs the command line on its data directory, and returns what it printed. */
  shoal(...args: string[]): Promise<string>
  /** Runs a program on its host. */
  run(program: string, ...args: string[]): Promise<RunResult>
  /** Ends it with SIGKILL. */
  kill(): Promise<void>
  stop(): Promise<void>
  /** Starts it again, with these flags instead of its first ones when they are given. */
  start(flags?: string[]): Promise<void>
}

export interface ClusterNodeOptions {
  flags?: string[]
  env?: Record<string, string>
  /** Given the empty data directory's path before the first start. */
  prepare?(data: string): Promise<void>
  /** After which time of silence its client gives up. */
  idleMs?: number
  /** How long a start may take; asked at each. */
  readyMs?: () => number
  /** Given everything that the node writes, as it comes. */
  onOutput?: (text: string) => void
}

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')
const door = path.join(import.meta.dirname, 'door.ts')
const httpPort = '5000'

/** A node on each host, the first one's cluster joined by the others at once; they are gone with the stack. */
export async function openClusterNodes(
  hosts: NetworkHost[],
  stack: AsyncDisposableStack,
  flags: string[] = ['--no-mdns'],
  /** Beside these, of each. */
  flagsOf: (index: number) => string[] = () => [],
): Promise<ClusterNode[]> {
  const [at, ...others] = hosts
  if (at === undefined) throw new Error('no hosts')
  const first = stack.use(await openClusterNode(at, { flags: [...flags, ...flagsOf(0)] }))
  const join = [...flags, '--join', await first.shoal('token')]
  const joined = others.map(async (host, index) =>
    stack.use(await openClusterNode(host, { flags: [...join, ...flagsOf(index + 1)] })),
  )
  return [first, ...(await Promise.all(joined))]
}

export async function openClusterNode(
  host: NetworkHost,
  { flags: firstFlags = [], env = {}, idleMs, readyMs, prepare, onOutput }: ClusterNodeOptions = {},
): Promise<ClusterNode> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await openScratchFolder())
  const data = folder.at('data')
  await prepare?.(data)
  const way = host.command(process.execPath, [door, folder.at('http.sock'), httpPort])
  cleanup.use(await startDaemon(`door of ${host.name}`, way.command, way.args, { ready: /^open/ }))
  const client = cleanup.use(openClient(folder.at('http.sock'), idleMs === undefined ? {} : { idleMs }))

  let daemon: Daemon | undefined
  let flags = firstFlags
  cleanup.defer(async () => await daemon?.[Symbol.asyncDispose]())
  const start = async (): Promise<void> => {
    const { command, args } = host.command(shoal, ['serve', '--data', data, ...flags])
    const options = {
      env,
      ready: /^shoal is ready/m,
      ...(readyMs === undefined ? {} : { readyMs: readyMs() }),
      ...(onOutput === undefined ? {} : { onOutput }),
    }
    daemon = await startDaemon(`shoal on ${host.name}`, command, args, options)
  }
  const askPeers = async (): Promise<PeerList | undefined> => {
    const answer = await callRunningNode(data, 'peers', {}, () => undefined)
    return answer?.result as PeerList | undefined
  }
  await start()
  const told = await askPeers()
  if (told === undefined) throw new Error(`the node on ${host.name} is ready and does not answer`)
  const owned = cleanup.move()
  return {
    name: `shoal on ${host.name}`,
    host,
    folder,
    client,
    peer: told.self.peer,
    output: () => daemon?.output() ?? '',
    running: () => daemon?.running() ?? false,
    pid: () => daemon?.pid,
    exitCode: () => daemon?.exitCode() ?? null,
    signal: (signal) => daemon?.signal(signal),
    peers: async () => (await askPeers())?.members.map(({ peer }) => peer) ?? [],
    sites: async () => (await askPeers())?.members.map(({ site }) => site) ?? [],
    shoal: async (...args) => (await run(shoal, [...args, '--data', data])).stdout.trim(),
    run: async (program, ...args) => {
      const { command, args: all } = host.command(program, args)
      return await run(command, all)
    },
    kill: async () => await daemon?.end('SIGKILL'),
    stop: async () => await daemon?.end('SIGTERM'),
    start: async (next = flags) => {
      flags = next
      await start()
    },
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

/** For tests of what else moves content: what is pushed stays where it was pushed. Asked of the node that started the cluster. */
export async function keepOneCopy(node: ClusterNode): Promise<void> {
  const file = node.folder.at('policy.json')
  await writeFile(file, JSON.stringify({ copies: 1 }))
  await node.shoal('policy', 'set', file)
}

/** Whether each of them is connected with exactly the others. */
export async function isMesh(nodes: ClusterNode[]): Promise<boolean> {
  const all = nodes.map(({ peer }) => peer).sort()
  for (const node of nodes) {
    const others = all.filter((peer) => peer !== node.peer)
    if (JSON.stringify((await node.peers()).toSorted()) !== JSON.stringify(others)) return false
  }
  return true
}

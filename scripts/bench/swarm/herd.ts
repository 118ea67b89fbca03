/** A cluster on shaped hosts of which the first is the holder and the others are cold, and what one herd's pull took. */
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { type Network, type NetworkHost, openNetwork } from '../../../test/netns/network.ts'
import { mib } from '../bench.ts'
import { type Node, openCluster } from '../cluster/nodes.ts'
import { runCommand } from '../command.ts'
import type { Figure, SwarmBench } from './bench.ts'
import { meterProcessor, type ProcessorUse } from './processor.ts'
import { faultText, readTraffic, type Traffic, trafficSince } from './traffic.ts'

export interface Herd extends AsyncDisposable {
  readonly holder: Member
  readonly cold: readonly Member[]
  readonly nodes: readonly Node[]
  /** Shaped hosts without a node. */
  readonly spare: readonly NetworkHost[]
  readonly megabits: number
  readonly network: Network
}

export interface Member {
  readonly node: Node
  readonly host: NetworkHost
}

export interface HerdOptions {
  name: string
  cold: number
  megabits: number
  spare?: number
  /** Half of the hosts, the holder among them, and the other half are sites with a link of so many Mbit/s between them. */
  betweenMbps?: number
  /** That the policy wants of what is pushed; default 1. */
  copies?: number
}

/** Where a node on a host of its own answers. */
export const nodeUrl = 'http://127.0.0.1:5000'

export async function openHerd(bench: SwarmBench, options: HerdOptions): Promise<Herd> {
  const { name, cold, megabits, spare = 0, betweenMbps, copies = 1 } = options
  bench.say(`${name}: starting ${cold + 1} nodes`)
  await using stack = new AsyncDisposableStack()
  const size = cold + 1
  const network = stack.use<Network>(
    await openNetwork(size + spare, betweenMbps === undefined ? {} : { betweenMbps }),
  )
  const { hosts } = network
  const folder = path.join(bench.root, name)
  const flagsOf = (index: number): string[] =>
    betweenMbps === undefined ? [] : ['--site', index < (size + spare) / 2 ? 'one' : 'other']
  const { nodes } = stack.use(
    await openCluster({ folder, size, hosts: hosts.slice(0, size), flagsOf, copies }),
  )
  for (const host of hosts) await network.shape(host, megabits)
  const members = nodes.flatMap((node, index) => {
    const host = hosts[index]
    return host === undefined ? [] : [{ node, host }]
  })
  const [holder, ...rest] = members
  if (holder === undefined) throw new RangeError('a herd without a holder')
  const owned = stack.move()
  return {
    holder,
    cold: rest,
    nodes,
    spare: hosts.slice(size),
    megabits,
    network,
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

/** A scaled size in bytes; never less than one that has a few pieces. */
export function scaled(bench: SwarmBench, mebibytes: number): number {
  return Math.max(mib, Math.round(mebibytes * bench.scale * mib))
}

/** The least time that so many bytes take over a link. */
export function leastMs(bytes: number, megabits: number): number {
  return (bytes * 8) / (megabits * 1000)
}

export interface Observed<T> {
  result: T
  use: ProcessorUse
  /** In the order of the nodes given. */
  traffic: Traffic[]
}

/** Does something after the disk has settled, and sees what the nodes spend on it. */
export async function observe<T>(
  bench: SwarmBench,
  nodes: readonly Node[],
  work: () => Promise<T>,
): Promise<Observed<T>> {
  await runCommand('sync', [], bench)
  const before = await readTraffic(nodes)
  const stop = await meterProcessor(nodes.map(({ pid }) => pid))
  const result = await work()
  const use = await stop()
  return { result, use, traffic: trafficSince(before, await readTraffic(nodes)) }
}

/** What a herd took, one turn after the other. */
export class HerdFigures {
  readonly slowest: number[] = []
  readonly holderCopies: number[] = []
  readonly received: number[] = []
  readonly busy: number[] = []
  readonly nodesBusy: number[] = []
  /** Of processors, by all nodes together. */
  readonly nodesMs: number[] = []
  readonly holderMsPerMiB: number[] = []
  readonly coldMsPerMiB: number[] = []
  readonly #bench: SwarmBench
  readonly #what: string

  constructor(bench: SwarmBench, what: string) {
    this.#bench = bench
    this.#what = what
  }

  /** `ends` of the cold hosts, which each got so many bytes; the first of the traffic is the holder's. */
  add(ends: readonly number[], bytes: number, megabits: number, seen: Observed<unknown>): void {
    const { use, traffic } = seen
    const [holder, ...cold] = traffic
    const [holderMs = 0, ...coldMs] = use.processMs
    const least = leastMs(bytes, megabits)
    const coldBytes = sum(cold.map(({ receivedBytes }) => receivedBytes))
    this.slowest.push(Math.max(...ends) / least)
    this.holderCopies.push((holder?.sentBytes ?? 0) / bytes)
    this.received.push(coldBytes / (bytes * cold.length))
    this.busy.push(use.busy * 100)
    this.nodesMs.push(sum(use.processMs))
    this.nodesBusy.push((sum(use.processMs) / (use.elapsedMs * availableParallelism())) * 100)
    this.holderMsPerMiB.push(holderMs / ((holder?.sentBytes ?? bytes) / mib))
    const coldMsPerMiB = sum(coldMs) / (coldBytes / mib)
    this.coldMsPerMiB.push(coldMsPerMiB)
    const times = ends.map((ms) => (ms / least).toFixed(2)).join(' ')
    const cost = `${coldMsPerMiB.toFixed(0)} ms of processor time per MiB`
    this.#bench.say(`${this.#what}: ${times} × size/bandwidth, ${cost}, ${faultText(traffic)}`)
  }

  /** What shows whether the links or the processors were the limit. */
  costs(): Figure[] {
    const what = this.#what
    return [
      { what: `${what}: pieces received, in copies per host`, unit: '×', values: this.received },
      { what: `${what}: processors busy, whole machine`, unit: '%', values: this.busy },
      { what: `${what}: processors used by the nodes`, unit: '%', values: this.nodesBusy },
      { what: `${what}: CPU of a cold host per MiB received`, unit: 'ms', values: this.coldMsPerMiB },
      { what: `${what}: CPU of the holder per MiB sent`, unit: 'ms', values: this.holderMsPerMiB },
    ]
  }
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

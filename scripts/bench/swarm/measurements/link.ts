/**
 * One large blob between two nodes, disk to disk, beside a bare TCP connection that does the same work at its ends: over a direct
 * TLS connection, and over the Noise stream where the port of that cannot be reached.
 */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type NetworkHost, openNetwork } from '../../../../test/netns/network.ts'
import { rate, sizeText } from '../../bench.ts'
import { type Node, openCluster, until } from '../../cluster/nodes.ts'
import { runCommand } from '../../command.ts'
import type { Content } from '../../content.ts'
import { percentile } from '../../statistics.ts'
import type { Figure, Measurement, SwarmBench } from '../bench.ts'
import { makeFolder } from '../folder.ts'
import { scaled } from '../herd.ts'
import { pushImage } from '../image.ts'
import { meterProcessor } from '../processor.ts'
import { manifestPath, storedPath } from '../push.ts'
import { transferRaw } from '../raw-transfer.ts'

/** Where nodes on hosts of their own listen for members. */
const memberPort = 5001
const probeEveryMs = 10
const deadlineMs = 600_000
const pollMs = 2

export const link: Measurement = {
  name: 'link',
  async run(bench) {
    const folder = await makeFolder(bench, 'link')
    await using cluster = await openCluster({ folder, size: 2 })
    const what = `${sizeText(scaled(bench, 1024))} between two nodes`
    return await transfers(bench, { what, folder, nodes: cluster.nodes, atLeast: 0.8 })
  },
}

export const noise: Measurement = {
  name: 'noise',
  namespaces: true,
  async run(bench) {
    const folder = await makeFolder(bench, 'noise')
    await using network = await openNetwork(2)
    const { hosts } = network
    for (const host of hosts) await refuseDirect(host, bench)
    await using cluster = await openCluster({ folder, size: 2, hosts })
    const what = `${sizeText(scaled(bench, 1024))} over Noise`
    return await transfers(bench, { what, folder, nodes: cluster.nodes, host: hosts[0], atLeast: 0.45 })
  },
}

/** Nothing but the port of members is reached from there. */
async function refuseDirect(host: NetworkHost, bench: SwarmBench): Promise<void> {
  const rule = ['-p', 'tcp', '--syn', '!', '-o', 'lo', '!', '--dport', String(memberPort)]
  const { command, args } = host.command('iptables', ['--wait', '-A', 'OUTPUT', ...rule, '-j', 'REJECT'])
  await runCommand(command, args, bench)
}

interface TransferOptions {
  what: string
  folder: string
  nodes: readonly Node[]
  /** Where the first of them runs; default the machine itself. */
  host?: NetworkHost | undefined
  atLeast: number
}

async function transfers(
  bench: SwarmBench,
  { what, folder, nodes, host, atLeast }: TransferOptions,
): Promise<Figure[]> {
  const size = scaled(bench, 1024)
  const [holder, asker] = nodes
  if (holder === undefined || asker === undefined) throw new RangeError('no two nodes')
  const blob = await bench.maker.make(path.join(folder, 'blob'), size)
  const [raw, swarm, ratio, p99]: [number[], number[], number[], number[]] = [[], [], [], []]
  for (let turn = 0; turn < bench.reps; turn++) {
    const content = await blob.renew()
    const tag = `turn-${turn}`
    await pushImage(bench, { node: holder, ...(host === undefined ? {} : { host }) }, tag, [content])
    await runCommand('sync', [], bench)
    const bare = await transferRaw(content, path.join(folder, 'raw'), bench)
    await runCommand('sync', [], bench)
    const probes = [probe(holder, bench), probe(asker, bench)]
    const stop = await meterProcessor([holder.pid, asker.pid])
    const ms = await fetchByManifest(asker, tag, content)
    const { busy, processMs } = await stop()
    const latencies = await Promise.all(probes.map((end) => end()))
    raw.push(rate(size, bare.ms))
    swarm.push(rate(size, ms))
    ratio.push(bare.ms / ms)
    p99.push(Math.max(...latencies.map((values) => percentile(values, 0.99))))
    const perGiB = (cpuMs: number): string => ((cpuMs / size) * (2 ** 30 / 1000)).toFixed(1)
    const [holderMs = 0, askerMs = 0] = processMs
    bench.say(
      `${what}: ${swarm.at(-1)?.toFixed(0)} MB/s, bare ${raw.at(-1)?.toFixed(0)}; CPU seconds per GiB: holder ${perGiB(holderMs)}, asker ${perGiB(askerMs)}, bare ${perGiB(bare.senderMs)} and ${perGiB(bare.receiverMs)}; processors ${(busy * 100).toFixed(0)} % busy`,
    )
  }
  await bench.memory.note(nodes)
  return [
    { what: `${what}, over bare TCP`, unit: '×', values: ratio, reach: { atLeast } },
    { what, unit: 'MB/s', values: swarm },
    { what: `${what}, bare TCP`, unit: 'MB/s', values: raw },
    {
      what: `${what}: /v2/ meanwhile, p99 of the slower node`,
      unit: 'ms',
      values: p99,
      reach: { atMost: 20 },
    },
  ]
}

/** Fetching a manifest brings its layers without a reader; they are there when they have their name. */
async function fetchByManifest(asker: Node, tag: string, { digest }: Content): Promise<number> {
  const startedAt = performance.now()
  await asker.expect(200, manifestPath(tag))
  await until('the layer to be here', () => exists(storedPath(asker.data, digest)), deadlineMs, pollMs)
  return performance.now() - startedAt
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

/** Asks for /v2/ again and again until the function that it returns is called, which tells how long each answer took. */
function probe(node: Node, { signal }: SwarmBench): () => Promise<number[]> {
  const latencies: number[] = []
  let isOver = false
  const run = async (): Promise<void> => {
    while (!isOver) {
      const asked = performance.now()
      await node.expect(200, '/v2/')
      latencies.push(performance.now() - asked)
      await delay(probeEveryMs, undefined, { signal })
    }
  }
  const running = run()
  return async () => {
    isOver = true
    await running
    return latencies
  }
}

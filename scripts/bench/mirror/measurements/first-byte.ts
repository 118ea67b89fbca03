/** How long the first byte of a blob takes that nobody has yet, beside the upstream itself asked from the same host. */
import path from 'node:path'
import { rankMembers } from '../../../../src/upstream/upstream.ts'
import type { NetworkHost } from '../../../../test/netns/network.ts'
import { runCommand } from '../../command.ts'
import { median } from '../../statistics.ts'
import type { Measurement, SwarmBench } from '../../swarm/bench.ts'
import { nodeUrl, scaled } from '../../swarm/herd.ts'
import { fetchedBytes, openSite, untilStill } from '../site.ts'

const turns = 24
const script = path.join(import.meta.dirname, '../first-byte.ts')

export const firstByte: Measurement = {
  name: 'first-byte',
  namespaces: true,
  async run(bench) {
    await using site = await openSite(bench, 'first-byte')
    const [direct, fetching, other]: [number[], number[], number[]] = [[], [], []]
    // A node that does this for the first time compiles it meanwhile.
    for (const [at, { node }] of site.members.entries()) {
      const layer = await site.publish(`warm-${at}`, scaled(bench, 1))
      await node.expect(200, layer.path)
    }
    const peers = await Promise.all(site.nodes.map(async (node) => (await node.peers()).self.peer))
    for (let turn = 0; turn < turns * bench.reps; turn++) {
      const layer = await site.publish(`first-${turn}`, scaled(bench, 2))
      // Every other one is asked of the member that ranks first for it, and so fetches it itself.
      const first = peers.indexOf(rankMembers(layer.digest, peers)[0] ?? '')
      const away = turn % 2 === 0 ? 0 : 1 + (turn % (peers.length - 1))
      const member = site.members[(first + away) % peers.length]
      if (member === undefined) throw new RangeError('a site without members')
      await untilStill(site, bench)
      direct.push(await firstByteMs(member.host, [site.upstream.url + layer.pathThere, '--token'], bench))
      await untilStill(site, bench)
      const before = await fetchedBytes(member.node)
      const ms = await firstByteMs(member.host, [nodeUrl + layer.path], bench)
      const isFetcher = (await fetchedBytes(member.node)) > before
      if (isFetcher) fetching.push(ms)
      else other.push(ms)
    }
    const base = median(direct)
    const beyond = (values: number[]): number[] => values.map((ms) => ms - base)
    const what = 'first byte of a cold blob, beyond the upstream’s'
    return [
      { what: 'first byte of a blob, upstream asked directly', unit: 'ms', values: direct },
      {
        what: `${what}, at the member that fetches`,
        unit: 'ms',
        values: beyond(fetching),
        reach: { atMost: 50 },
      },
      { what: `${what}, at another member`, unit: 'ms', values: beyond(other), reach: { atMost: 50 } },
    ]
  },
}

async function firstByteMs(
  host: NetworkHost,
  args: string[],
  { signal }: Pick<SwarmBench, 'signal'>,
): Promise<number> {
  const run = host.command(process.execPath, [script, ...args])
  const { stdout } = await runCommand(run.command, run.args, { signal })
  const [status, ms] = stdout.trim().split(' ').map(Number)
  if (status !== 200 || ms === undefined) throw new RangeError(`the first byte came with ${status}`)
  return ms
}

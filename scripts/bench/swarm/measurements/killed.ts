/** The holder is killed as soon as the others hold every piece together: what they have is all that there is. */
import { open } from 'node:fs/promises'
import path from 'node:path'
import { layoutOf, pieceRange } from '../../../../src/exchange/protocol/piece-size.ts'
import { until } from '../../cluster/nodes.ts'
import type { Content } from '../../content.ts'
import type { Measurement } from '../bench.ts'
import { makeFolder } from '../folder.ts'
import { leastMs, type Member, nodeUrl, observe, openHerd, scaled } from '../herd.ts'
import { pullAtOnce } from '../pull.ts'
import { blobPath, pushFile, storedPath } from '../push.ts'
import { faultText } from '../traffic.ts'

const pollMs = 25
const tailBytes = 16

export const killed: Measurement = {
  name: 'killed',
  namespaces: true,
  async run(bench) {
    const size = scaled(bench, 64)
    const { cold, megabits } = bench
    const slowest: number[] = []
    for (let turn = 0; turn < bench.reps; turn++) {
      await using herd = await openHerd(bench, { name: `killed-${turn}`, cold, megabits })
      const blob = await bench.maker.make(path.join(await makeFolder(bench, 'killed-blob'), 'blob'), size)
      const content = await blob.renew()
      await pushFile(content, { host: herd.holder.host, signal: bench.signal })
      const urls = herd.cold.map(({ host }) => ({ url: nodeUrl + blobPath(content.digest), host }))
      const survivors = herd.cold.map(({ node }) => node)
      const { result, traffic } = await observe(bench, survivors, async () => {
        const pulls = pullAtOnce(urls, content, bench)
        const kill = killOnceSpread(herd.cold, content, async () => {
          await bench.memory.note([herd.holder.node])
          process.kill(herd.holder.node.pid, 'SIGKILL')
        })
        return { ends: (await pulls).map(({ endMs }) => endMs), killedMs: await kill }
      })
      const least = leastMs(size, megabits)
      slowest.push(Math.max(...result.ends) / least)
      const at = `holder killed at ${(result.killedMs / least).toFixed(2)}`
      bench.say(
        `killed: ${at}, slowest ${slowest.at(-1)?.toFixed(2)} × size/bandwidth, ${faultText(traffic)}`,
      )
      await bench.memory.note(survivors)
    }
    const what = `holder killed once all pieces are with ${cold}: slowest host`
    return [{ what, unit: '× size/bandwidth', values: slowest, reach: { atMost: 1.6 } }]
  },
}

/** Returns when that was. */
async function killOnceSpread(
  cold: readonly Member[],
  content: Content,
  kill: () => Promise<void>,
): Promise<number> {
  const missing = new Set(Array.from({ length: layoutOf(content.size).count }, (_, piece) => piece))
  const spread = async (): Promise<boolean> => {
    for (const { node } of cold) await strikeHeld(missing, node.data, content)
    return missing.size === 0
  }
  const waitedMs = await until('every piece to be with a cold host', spread, 600_000, pollMs)
  await kill()
  return waitedMs
}

/** A part's file is a hole where a piece is missing, and random bytes where one was verified and written. */
async function strikeHeld(missing: Set<number>, data: string, content: Content): Promise<void> {
  const layout = layoutOf(content.size)
  for (const file of filesOf(data, content.digest)) {
    try {
      await using handle = await open(file, 'r')
      const tail = Buffer.alloc(tailBytes)
      for (const piece of missing) {
        tail.fill(0)
        await handle.read(tail, 0, tailBytes, pieceRange(layout, piece).end - tailBytes)
        if (tail.some((byte) => byte !== 0)) missing.delete(piece)
      }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    }
  }
}

/** While it is on its way, and afterwards. */
function filesOf(data: string, digest: string): string[] {
  const hex = digest.slice('sha256:'.length)
  return [path.join(data, 'partials', `sha256-${hex}`), storedPath(data, digest)]
}

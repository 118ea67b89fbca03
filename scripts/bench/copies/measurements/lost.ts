/** Images pushed at all hosts; one restarts, then dies for good: what is moved for that, and how soon each image has two copies again. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { callRunningNode } from '../../../../node/admin/client.ts'
import { mib } from '../../bench.ts'
import { isMesh, until } from '../../cluster/nodes.ts'
import type { Measurement } from '../../swarm/bench.ts'
import { makeFolder } from '../../swarm/folder.ts'
import { openHerd } from '../../swarm/herd.ts'
import { pushImage } from '../../swarm/image.ts'
import { broughtBytes, countHolders, countMembers, isHeld, shortImages } from '../holders.ts'

const patienceMs = 900_000
/** What a restart would set off is under way by then: members that come are looked at for two seconds. */
const quietMs = 30_000
const leastQuietMs = 5_000

export const lost: Measurement = {
  name: 'lost',
  namespaces: true,
  async run(bench) {
    const { cold, megabits, scale } = bench
    await using herd = await openHerd(bench, { name: 'lost', cold, megabits, copies: 2 })
    const { holder, nodes } = herd
    const members = [holder, ...herd.cold]
    const blob = await bench.maker.make(path.join(await makeFolder(bench, 'lost-blob'), 'blob'), mib)
    const digests: string[] = []
    const count = Math.max(members.length, Math.round(400 * scale))
    for (let image = 0; image < count; image++) {
      const content = await blob.renew()
      const member = members[image % members.length] ?? holder
      await pushImage(bench, member, `lost-${image}`, [content])
      digests.push(content.digest)
    }
    const isSafe = (of: typeof nodes) => async (): Promise<boolean> => {
      for (const digest of digests) if ((await countHolders(of, digest)) < 2) return false
      return true
    }
    const isDone = (of: typeof nodes) => async (): Promise<boolean> => (await shortImages(of)) === 0
    await until('two copies of each', isSafe(nodes), patienceMs, 500)
    await until('nothing to be left to do', isDone(nodes), patienceMs, 500)

    const [victim, ...others] = nodes.toReversed()
    if (victim === undefined) throw new RangeError('a herd without nodes')
    const { peer } = (await victim.peers()).self
    const before = await broughtBytes(others)
    await victim.stop()
    await delay(300_000 * scale, undefined, bench)
    await victim.start()
    await until('the one that restarted to be back', () => isMesh([...nodes]), patienceMs)
    await delay(Math.max(quietMs * scale, leastQuietMs), undefined, bench)
    const restarted = (await broughtBytes(nodes)) - before
    bench.say(`lost: ${(restarted / mib).toFixed(1)} MiB moved for a restart`)

    let share = 0
    for (const digest of digests) if (await isHeld(victim.data, digest)) share += mib
    const whole = await broughtBytes(others)
    process.kill(victim.pid, 'SIGKILL')
    await delay(1_000, undefined, bench)
    await callRunningNode(holder.node.data, 'member-forget', { who: peer }, () => undefined)
    const backMs = await until('two copies of each again', isSafe(others), patienceMs, 500)
    // Two copies may be there beside its own: what its owners bring all the same comes after the look that this sets off.
    await until('its place to be another', () => countMembers(others, others.length), patienceMs, 500)
    await delay(leastQuietMs, undefined, bench)
    await until('nothing to be left to do', isDone(others), patienceMs, 500)
    const moved = (await broughtBytes(others)) - whole
    bench.say(
      `lost: ${(moved / mib).toFixed(1)} MiB moved for ${share / mib} images, in ${(backMs / 1000).toFixed(0)} s`,
    )
    await bench.memory.note(others)
    return [
      { what: 'moved for a restart', unit: 'MiB', values: [restarted / mib], reach: { atMost: 0 } },
      {
        what: `moved for one of ${members.length} hosts that died, ${count} images`,
        unit: '× its share',
        values: [moved / share],
        reach: { atMost: 1.1 },
      },
      { what: 'two copies of each again, once it is forgotten', unit: 's', values: [backMs / 1000] },
    ]
  },
}

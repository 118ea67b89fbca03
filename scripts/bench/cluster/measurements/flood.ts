/** A member that throws forged and replayed records at a node: what the node accepts, and how its registry answers meanwhile. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { killAtExit } from '../../../../test/e2e/kill-at-exit.ts'
import { percentile } from '../../statistics.ts'
import type { Measurement } from '../bench.ts'
import { makeManifest, pushConfig, putTags, tagNames } from '../names.ts'
import { type Node, openCluster } from '../nodes.ts'
import type { ThrowerOrder, ThrowerReport } from '../thrower.ts'

const repository = 'bench/flood'
const tagCount = 1000
const calmMs = 5000
const pauseMs = 5
const program = path.join(import.meta.dirname, '../thrower.ts')

export const flood: Measurement = {
  name: 'flood',
  async run(bench) {
    const folder = path.join(bench.root, 'flood')
    await using cluster = await openCluster({ folder, size: 3 })
    const [node, other] = cluster.nodes
    if (node === undefined || other === undefined) return []
    const tags = tagNames(tagCount)
    await pushConfig(node, repository)
    await putTags(node, repository, tags, makeManifest('old'))
    const place = path.join(folder, 'thrower')
    await mkdir(place)
    const { peer } = (await node.peers()).self
    const order: ThrowerOrder = {
      folder: place,
      token: await node.token(),
      target: peer,
      count: bench.thrown,
    }
    const thrower = fork(program, [JSON.stringify(order)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    killAtExit(thrower)
    try {
      await nextReport(thrower)
      // From here on everything that it has learned is old.
      await putTags(node, repository, tags, makeManifest('new'))
      const [before, otherBefore] = [await stateOf(node), await stateOf(other)]
      const calm = await watch(node, tags, delay(calmMs))
      bench.say(`throwing ${bench.thrown} records at a node`)
      const thrown = nextReport(thrower)
      thrower.send('throw')
      const meanwhile = await watch(node, tags, thrown)
      const report = await thrown
      if (report.kind !== 'thrown') return []
      const accepted = (await stateOf(node)) === before && (await stateOf(other)) === otherBefore ? 0 : 1
      bench.say(`cut off ${report.cuts} times; the first after ${report.beforeFirstCut} records`)
      return [
        { what: 'forged or replayed records that changed a ledger', unit: '', value: accepted, atMost: 0 },
        {
          what: `GET during ${report.count} bad records, p99`,
          unit: 'ms',
          value: percentile(meanwhile, 0.99),
          atMost: 50,
        },
        { what: 'GET before them, p99', unit: 'ms', value: percentile(calm, 0.99) },
        { what: 'records until the thrower is cut off', unit: '', value: report.beforeFirstCut },
        { what: 'time until the thrower is cut off', unit: 's', value: report.firstCutMs / 1000 },
      ]
    } finally {
      const gone =
        thrower.exitCode === null && thrower.signalCode === null ? once(thrower, 'exit') : undefined
      thrower.kill('SIGKILL')
      await gone
    }
  },
}

/** Every tag, every repository and the policy. */
async function stateOf(node: Node): Promise<string> {
  const catalog = await node.get('/v2/_catalog?n=1000')
  return JSON.stringify([[...(await node.tags(repository))], catalog.body.toString(), await node.policy()])
}

/** How long each GET of a manifest takes until `end`, about 200 in a second. */
async function watch(node: Node, tags: string[], end: Promise<unknown>): Promise<number[]> {
  let over = false
  const ended = end.finally(() => {
    over = true
  })
  const samples: number[] = []
  for (let round = 0; !over; round++) {
    const start = performance.now()
    await node.expect(200, `/v2/${repository}/manifests/${tags[round % tags.length]}`)
    samples.push(performance.now() - start)
    await delay(pauseMs)
  }
  await ended
  return samples
}

async function nextReport(thrower: ReturnType<typeof fork>): Promise<ThrowerReport> {
  const stopped = new AbortController()
  const gone = once(thrower, 'exit', { signal: stopped.signal }).then(() => {
    throw new Error('the thrower ended')
  })
  try {
    const [message] = await Promise.race([once(thrower, 'message'), gone])
    return message as ThrowerReport
  } finally {
    stopped.abort()
    gone.catch(() => undefined)
  }
}

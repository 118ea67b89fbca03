/** One node's look through what it has to place: 10,000 images in a ledger and a store of its own, among eight members. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { libraryOf } from '../../../../node/keep-sources.ts'
import { breather, noMetrics, silentLogger, steadyClock } from '../../../../src/base/base.ts'
import { digestBytes } from '../../../../src/oci/oci.ts'
import { Backlog, type Offer, Roster, type Supply } from '../../../../src/placement/placement.ts'
import { Placer } from '../../../../src/placement/placer.ts'
import { makeImage } from '../../../../test/e2e/image.ts'
import { type OperatedNode, openOperatedNode } from '../../../../test/node/operations/fixture.ts'
import type { Measurement, SwarmBench } from '../../swarm/bench.ts'

const repository = 'bench/look'
const atOnce = 16
const members = 8

export const look: Measurement = {
  name: 'look',
  async run(bench) {
    const count = Math.max(10, Math.round(10_000 * bench.scale))
    await using operated = await openOperatedNode()
    bench.say(`look: pushing ${count} images`)
    await pushImages(operated, count)
    const first = { cpuMs: [] as number[], sliceMs: [] as number[] }
    const next = { cpuMs: [] as number[], sliceMs: [] as number[] }
    for (let turn = 0; turn < bench.reps; turn++) {
      const placer = await openPlacer(operated, bench)
      for (const into of [first, next]) {
        const took = await measure(() => placer.look())
        into.cpuMs.push(took.cpuMs)
        into.sliceMs.push(took.sliceMs)
      }
    }
    const text = `look through ${count} images`
    return [
      { what: `${text}: processor`, unit: 'ms', values: first.cpuMs, reach: { atMost: 2_000 } },
      { what: `${text}: longest slice`, unit: 'ms', values: first.sliceMs, reach: { atMost: 10 } },
      { what: 'the next look: processor', unit: 'ms', values: next.cpuMs, reach: { atMost: 2_000 } },
      { what: 'the next look: longest slice', unit: 'ms', values: next.sliceMs, reach: { atMost: 10 } },
    ]
  },
}

/** Of one config and one layer, which nothing here depends on. */
async function pushImages(operated: OperatedNode, count: number): Promise<void> {
  const { manifest, config, layers } = makeImage({ seed: 'look', layerBytes: [64] })
  for (const blob of [config, ...layers]) await operated.pushBlob(repository, blob)
  const content: object = JSON.parse(manifest.bytes.toString())
  const push = async (image: number): Promise<void> => {
    const bytes = Buffer.from(JSON.stringify({ ...content, annotations: { image: String(image) } }))
    const descriptor = { ...manifest.descriptor, digest: digestBytes(bytes), size: bytes.length }
    await operated.pushManifest(repository, `v${image}`, { descriptor, bytes })
  }
  for (let from = 0; from < count; from += atOnce)
    await Promise.all(Array.from({ length: Math.min(atOnce, count - from) }, (_, at) => push(from + at)))
}

/** All members are there, and have what they are asked about. */
async function openPlacer({ node }: OperatedNode, { signal }: SwarmBench): Promise<Placer> {
  const { store, names } = node
  const offers: Offer[] = Array.from({ length: members }, (_, at) => ({ peer: `member-${at}`, room: 10 }))
  const self: Offer = { peer: node.membership.identity.peerId, room: 10 }
  const roster = new Roster(self, [], steadyClock.now())
  roster.see(offers.slice(1), steadyClock.now())
  const nothing: Supply = {
    bringManifest: async () => undefined,
    bringBlob: async () => false,
    refreshTag: async () => undefined,
    refreshReferrers: async () => undefined,
    refreshSiblings: async () => undefined,
  }
  return new Placer({
    self: self.peer,
    names,
    policy: () => names.policy(),
    roster,
    backlog: await Backlog.open(node.debtTable, Math.random),
    library: libraryOf(node),
    supply: nothing,
    politeSupply: nothing,
    peers: { ask: async (_, { images }) => images.map(() => 'held') },
    parentsOf: (name, digest) => store.manifests.referringTo(name, digest),
    makeDurable: async () => undefined,
    learn: async () => undefined,
    ack: 1,
    breathe: breather(),
    onDue: () => undefined,
    isMirrored: () => false,
    mayPush: () => true,
    getReady: () => undefined,
    cameOf: () => 0,
    bringPart: async () => undefined,
    random: Math.random,
    clock: steadyClock,
    logger: silentLogger,
    metrics: noMetrics,
    signal,
  })
}

async function measure(work: () => Promise<void>): Promise<{ cpuMs: number; sliceMs: number }> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const before = process.cpuUsage()
  delay.enable()
  await work()
  delay.disable()
  const { user, system } = process.cpuUsage(before)
  return { cpuMs: (user + system) / 1000, sliceMs: delay.max / 1e6 }
}

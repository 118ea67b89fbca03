/** Registries with ledgers, stores and mirrors of their own in one process; questions between them go over channels in memory. */

import { silentLogger } from '../../src/base/base.ts'
import {
  answerOver,
  askOver,
  type MirrorPeers,
  type OpenMirror,
  openMirror,
} from '../../src/mirror/mirror.ts'
import type { Ledger } from '../../src/records/records.ts'
import {
  createRegistry,
  type Elsewhere,
  keepManifest,
  nowhere,
  type Registry,
} from '../../src/registry/registry.ts'
import { memoryStore, type Store } from '../../src/store/store.ts'
import type { Upstream } from '../../src/upstream/upstream.ts'
import { channelPair } from '../../src/wire/wire.ts'
import { identity, testLedger } from '../records/fixture.ts'
import { upstreamsOf } from './fake-upstream.ts'
import { SteppedClock } from './stepped-clock.ts'

export interface MirrorNode {
  name: string
  names: Ledger
  store: Store
  mirror: OpenMirror
  registry: Registry
  /** False makes it unreachable for the others. */
  isUp: boolean
  /** True makes it tell that it does not reach its upstreams. */
  isAway: boolean
  /** Of each blob that was not here, whether it was sought outside of the cluster, too. */
  blobsSought: ('cluster' | 'anywhere')[]
}

export interface MirrorCluster {
  clock: SteppedClock
  nodes: MirrorNode[]
  node(index: number): MirrorNode
  /** Brings every node what the others have written since. */
  gossip(): Promise<void>
}

interface ClusterOptions {
  size?: number
  /** What each of the nodes reaches; the same for all by default. */
  upstreams: Upstream[] | ((index: number) => Upstream[])
  ttlMs?: number
  bareNames?: boolean
  /** Whether members that may know a tag do not answer; default never. */
  isSilent?(): boolean
}

export async function openCluster(
  opened: AsyncDisposableStack,
  { size = 1, upstreams, ttlMs = 300_000, bareNames = true, isSilent = () => false }: ClusterOptions,
): Promise<MirrorCluster> {
  const clock = new SteppedClock()
  const nodes: MirrorNode[] = []
  const written: Uint8Array[] = []
  const upstreamsAt = (index: number): Upstream[] =>
    typeof upstreams === 'function' ? upstreams(index) : upstreams
  const others = (self: string): MirrorNode[] => nodes.filter(({ name, isUp }) => isUp && name !== self)

  for (let index = 0; index < size; index++) {
    const self = `node-${index}`
    const author = identity(10 + index)
    const { ledger: names } = opened.use(await testLedger({ identity: author, clock }))
    const store = opened.use(memoryStore({ clock }))
    const mirroring = (upstream: string): string[] =>
      others(self)
        .filter(({ name }) =>
          upstreamsAt(Number(name.slice(5))).some((one) => one.name === upstream && one.isShared),
        )
        .map(({ name }) => name)
    const peers: MirrorPeers = {
      self,
      wordFor: (upstream) => (mirroring(upstream).length === 0 ? undefined : 'claim'),
      reaching: (upstream) =>
        mirroring(upstream).filter((peer) => nodes.some(({ name, isAway }) => name === peer && !isAway)),
      async ask(peer, question, { signal }) {
        const { a, b } = channelPair()
        const asked = others(self).find(({ name }) => name === peer)
        if (asked === undefined) throw new Error(`${peer} is gone`)
        const { signal: never } = new AbortController()
        const [answer] = await Promise.all([
          askOver(a, question, { clock, signal }).finally(() => a.close()),
          answerOver(b, (put, how) => asked.mirror.answer(put, how), { clock, signal: never }),
        ])
        return answer
      },
      async accept(_peer, records) {
        await names.apply(records)
      },
      async askForTag(repository, tag) {
        for (const other of others(self)) {
          const record = other.names.findRecord({ kind: 'tag', repository, tag })
          if (record !== undefined) await names.apply([record])
        }
        return isSilent() ? 'silence' : undefined
      },
      fetchFromOrigin: async () => false,
    }
    const blobsSought: MirrorNode['blobsSought'] = []
    const elsewhere: Elsewhere = {
      ...nowhere,
      async findBlob(_repository, _digest, { within = 'anywhere' } = {}) {
        blobsSought.push(within)
        return undefined
      },
      async askForTag(repository, tag) {
        return await peers.askForTag(repository, tag)
      },
      async askForManifest(repository, digest) {
        for (const other of others(self)) {
          const record = other.names.findRecord({ kind: 'manifest', repository, digest })
          if (record !== undefined) await names.apply([record])
        }
        return undefined
      },
      async fetchManifest(repository, digest) {
        for (const { store: far } of others(self)) {
          if (await far.links.has(repository, digest)) return far.manifests.get(digest)
        }
        return undefined
      },
    }
    const mirror = openMirror({
      upstreams: upstreamsOf(...upstreamsAt(index)),
      peers,
      names,
      holds: async (digest) => (await store.manifests.get(digest)) !== undefined,
      keep: async (repository, manifest) => {
        await keepManifest({ store, elsewhere }, repository, manifest)
      },
      ttlMs,
      bareNames,
      clock,
      logger: silentLogger,
    })
    const registry = opened.use(createRegistry({ store, names, elsewhere, mirror, clock }))
    const node = { name: self, names, store, mirror, registry, isUp: true, isAway: false, blobsSought }
    nodes.push(node)
    names.onRecords((records, { own }) => {
      if (own) written.push(...records)
    })
  }
  return {
    clock,
    nodes,
    async gossip() {
      const records = written.splice(0)
      await Promise.all(nodes.filter(({ isUp }) => isUp).map(({ names }) => names.apply(records)))
    },
    node(index) {
      const node = nodes[index]
      if (node === undefined) throw new Error(`there is no node ${index}`)
      return node
    },
  }
}

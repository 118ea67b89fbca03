/** Many nodes that place copies, without a network or a clock of their own: who is up, who reaches whom and what time it is, a test says. */
import { type Clock, noMetrics, silentLogger, unlessAborted } from '../../src/base/base.ts'
import { type Digest, digestBytes, mediaTypes, type Repository, type Tag } from '../../src/oci/oci.ts'
import { Backlog, type Debt } from '../../src/placement/backlog.ts'
import { CopiesRunner } from '../../src/placement/copies.ts'
import type { Library, Supply } from '../../src/placement/image.ts'
import type { Offer } from '../../src/placement/owners.ts'
import { Roster, type RosterRow } from '../../src/placement/roster.ts'
import type { CopyPeers, CopyQuestion } from '../../src/placement/securing.ts'
import type { ChangedKey, ManifestEntry, PlacementKeys, TagEntry } from '../../src/records/records.ts'
import { repository } from './world.ts'

export { repository }
/** Of each image's one layer; its manifest and config come on top of that. */
export const layerBytes = 1_000_000

interface Statement {
  atMs: number
  /** Absent where it was deleted. */
  entry?: ManifestEntry & TagEntry
}

/** Records as they stand at one node: of two, the later. */
type Statements = Map<Tag, Statement>

export class PlacedNode {
  readonly peer: string
  readonly held = new Set<Digest>()
  readonly debts = new Map<string, Debt>()
  readonly cluster: PlacedCluster
  statements: Statements = new Map()
  rows: RosterRow[] = []
  room = 10
  site: string | undefined
  side = 0
  isDead = false
  runner: CopiesRunner | undefined
  receivedBytes = 0
  #closing = new AbortController()

  constructor(cluster: PlacedCluster, peer: string) {
    this.cluster = cluster
    this.peer = peer
  }

  get isUp(): boolean {
    return this.runner !== undefined
  }

  get offer(): Offer {
    return { peer: this.peer, room: this.room, ...(this.site === undefined ? {} : { site: this.site }) }
  }

  async start(): Promise<void> {
    const { cluster, peer } = this
    const { clock, random } = cluster
    this.#closing = new AbortController()
    const table = {
      values: () => ({ all: async () => [...this.debts.values()] }),
      put: async (key: string, debt: Debt) => void this.debts.set(key, debt),
      del: async (key: string) => void this.debts.delete(key),
    }
    const supply = this.#supply()
    this.runner = new CopiesRunner(
      {
        self: peer,
        names: { ...this.#names(), onChange: () => () => undefined },
        policy: () => cluster.policy,
        roster: new Roster(this.offer, this.rows, clock.now()),
        backlog: await Backlog.open(table, random),
        library: this.#library(),
        supply,
        politeSupply: supply,
        peers: this.#peers(),
        parentsOf: async function* (_, digest) {
          yield* cluster.parents.get(digest) ?? []
        },
        makeDurable: async () => undefined,
        learn: async () => cluster.spread(),
        ack: 1,
        breathe: () => undefined,
        onDue: () => undefined,
        isMirrored: () => false,
        mayPush: () => true,
        getReady: () => undefined,
        cameOf: () => 0,
        bringPart: async (_, digest) => {
          cluster.ahead.push({ peer, digest })
          return layerBytes
        },
        present: () => cluster.reached(this).map(({ offer }) => offer),
        onPresent: () => () => undefined,
        isGone: (other) => cluster.gone.has(other),
        save: async (rows) => {
          this.rows = rows
        },
        random,
        clock,
        logger: silentLogger,
        metrics: noMetrics,
      },
      this.#closing.signal,
    )
  }

  stop(): void {
    this.#closing.abort(new Error('the node stops'))
    this.runner = undefined
  }

  live(): TagEntry[] {
    return [...this.statements.values()].flatMap(({ entry }) => entry ?? [])
  }

  hear(tag: Tag, statement: Statement): void {
    const known = this.statements.get(tag)
    if (known !== undefined && known.atMs >= statement.atMs) return
    this.statements.set(tag, statement)
    const key: ChangedKey = { kind: 'tag', repository, tag, deleted: statement.entry === undefined }
    this.runner?.placer.hear([key])
  }

  /** What a collection would do, at once. */
  collect(): void {
    const live = new Set(this.live().map(({ digest }) => digest))
    for (const digest of this.held) if (!live.has(digest)) this.held.delete(digest)
  }

  #names() {
    const find = (digest: Digest): (ManifestEntry & TagEntry) | undefined =>
      [...this.statements.values()].find(({ entry }) => entry?.digest === digest)?.entry
    return {
      findTag: async (_: Repository, tag: Tag) => this.statements.get(tag)?.entry,
      findManifest: async (_: Repository, digest: Digest) => find(digest),
      tagsOf: async (_: Repository, digest: Digest) =>
        [...this.statements].filter(([, { entry }]) => entry?.digest === digest).map(([tag]) => tag),
      listRepositories: async ({ after = '' }) => (after === '' ? [repository] : []),
      listTags: async (_: Repository, { after = '', limit }: { after?: string; limit: number }) =>
        [...this.statements]
          .filter(([tag, { entry }]) => entry !== undefined && tag > after)
          .map(([tag]) => tag)
          .sort()
          .slice(0, limit),
    }
  }

  #library(): Library {
    return {
      findManifest: async (_, digest) => (this.held.has(digest) ? this.cluster.bytesOf(digest) : undefined),
      hasBlob: async (_, digest) => this.held.has(this.cluster.imageOf(digest)),
      absentOf: async () => [],
      listReferrers: async () => [],
      listSiblings: async () => [],
    }
  }

  /** An image comes with its layer, or not at all: what is between is the exchange's. */
  #supply(): Supply {
    return {
      bringManifest: async (_, digest) => {
        const giver = this.cluster.reached(this).find(({ held }) => held.has(digest))
        if (giver === undefined) return undefined
        await this.cluster.given
        this.receivedBytes += layerBytes
        this.held.add(digest)
        return this.cluster.bytesOf(digest)
      },
      bringBlob: async () => false,
      refreshTag: async () => undefined,
      refreshReferrers: async () => undefined,
      refreshSiblings: async () => undefined,
    }
  }

  #peers(): CopyPeers {
    return {
      ask: async (peer, question, { signal }) => {
        const other = this.cluster.reached(this).find((node) => node.peer === peer)
        if (other?.runner === undefined) throw new Error('nobody is there')
        await unlessAborted(this.cluster.answered, signal)
        this.cluster.onAsk(peer, question)
        return await other.runner.placer.promises.answer(this.peer, question, { signal })
      },
    }
  }
}

export class PlacedCluster {
  readonly nodes: PlacedNode[]
  readonly gone = new Set<string>()
  /** By a part, the images that list it. */
  readonly parents = new Map<Digest, Digest[]>()
  readonly random: () => number
  policy: PlacementKeys = {}
  /** Called with each question; what it throws is that nobody answers. */
  onAsk: (peer: string, question: CopyQuestion) => void = () => undefined
  /** No question is answered before. */
  answered = Promise.resolve()
  /** Blobs that members were asked to bring before their manifest. */
  readonly ahead: { peer: string; digest: Digest }[] = []
  /** No image comes before. */
  given = Promise.resolve()
  readonly clock: Clock & { nowMs: number }
  readonly #manifests = new Map<Digest, Buffer>()
  readonly #images = new Map<Digest, Digest>()
  #pushed = 0

  constructor(count: number, random: () => number = () => 0.5) {
    this.random = random
    this.clock = {
      nowMs: 1_800_000_000_000,
      now() {
        return this.nowMs
      },
      // Time passes for those who wait when the test says so, and what they wait for is there at once.
      sleep: (ms, { signal } = {}) =>
        new Promise((resolve, reject) => {
          if (ms <= 0) setImmediate(resolve)
          signal?.addEventListener('abort', () => reject(signal.reason))
        }),
    }
    this.nodes = Array.from({ length: count }, (_, at) => new PlacedNode(this, `node-${at}`))
  }

  async start(...nodes: PlacedNode[]): Promise<this> {
    for (const node of nodes.length === 0 ? this.nodes : nodes) await node.start()
    this.spread()
    return this
  }

  get up(): PlacedNode[] {
    return this.nodes.filter(({ isUp }) => isUp)
  }

  reached(from: PlacedNode): PlacedNode[] {
    return this.up.filter((node) => node !== from && node.side === from.side)
  }

  bytesOf(digest: Digest): Buffer | undefined {
    return this.#manifests.get(digest)
  }

  imageOf(blob: Digest): Digest {
    return this.#images.get(blob) ?? blob
  }

  /** Pushed at the node, as a tag of its own. */
  push(node: PlacedNode, { home }: { home?: Digest } = {}): { tag: Tag; digest: Digest } {
    const number = this.#pushed++
    const layer = digestBytes(Buffer.from(`layer ${number}`))
    const content = { schemaVersion: 2, config: part('config', number), layers: [part('layer', number)] }
    const bytes = Buffer.from(JSON.stringify({ ...content, mediaType: mediaTypes.ociManifest }))
    const digest = digestBytes(bytes)
    this.#manifests.set(digest, bytes)
    this.#images.set(layer, digest).set(digestBytes(Buffer.from(`config ${number}`)), digest)
    return this.#tag(node, digest, bytes.length, number, home)
  }

  /** What was pushed before, as another tag. */
  pushAgain(node: PlacedNode, digest: Digest): { tag: Tag; digest: Digest } {
    return this.#tag(node, digest, this.bytesOf(digest)?.length ?? 0, this.#pushed++)
  }

  #tag(
    node: PlacedNode,
    digest: Digest,
    size: number,
    number: number,
    home?: Digest,
  ): { tag: Tag; digest: Digest } {
    node.held.add(digest)
    const tag = `v${number}` as Tag
    const atMs = this.clock.nowMs + number / 1_000
    const common = { digest, mediaType: mediaTypes.ociManifest, size, writtenMs: atMs, author: node.peer }
    const entry = { ...common, ...(home === undefined ? {} : { home }) }
    node.hear(tag, { atMs, entry })
    this.spread()
    return { tag, digest }
  }

  delete(node: PlacedNode, tag: Tag): void {
    node.hear(tag, { atMs: this.clock.nowMs + this.#pushed / 1_000 + 0.5 })
    this.spread()
  }

  /** Those who reach each other agree. */
  spread(): void {
    for (const from of this.up)
      for (const to of this.reached(from)) for (const [tag, said] of from.statements) to.hear(tag, said)
  }

  /** Time passes in steps, and each node does what it has to do. */
  async pass(ms: number, stepMs = 30_000): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.nowMs += stepMs
      await this.act()
    }
  }

  /** Each node until it has nothing to do now. */
  async act(): Promise<void> {
    for (const node of this.up) await node.runner?.watch()
    for (const node of this.up) {
      for (let turns = 0; (node.runner?.dueMs ?? Number.POSITIVE_INFINITY) <= this.clock.nowMs; turns++) {
        if (turns > 1_000) throw new Error('work does not end')
        await node.runner?.turn()
      }
    }
    for (const node of this.up) node.collect()
  }

  holders(digest: Digest): PlacedNode[] {
    return this.nodes.filter(({ isDead, held }) => !isDead && held.has(digest))
  }

  get receivedBytes(): number {
    return this.nodes.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0)
  }
}

function part(kind: string, number: number) {
  const bytes = Buffer.from(`${kind} ${number}`)
  return { mediaType: `application/vnd.example.${kind}`, digest: digestBytes(bytes), size: bytes.length }
}

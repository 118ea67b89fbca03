/** What a soak does and when: a seed decides it, so that a run can be made again. */
import { Random } from '../e2e/random.ts'
import { imageCount } from './content.ts'

export const faultKinds = ['kill', 'restart', 'stop', 'partition', 'disk', 'clock', 'rot'] as const
export type FaultKind = (typeof faultKinds)[number]

interface OnNode {
  /** From the beginning of the round. */
  readonly atMs: number
  /** The number of the node that it happens at. */
  readonly node: number
}

/** Lasts for `forMs`; a kill is how long the node is down, a full disk how long nothing can be written. */
export type Fault = { readonly forMs: number } & (
  | (OnNode & { readonly kind: 'kill' | 'restart' | 'stop' })
  | (OnNode & { readonly kind: 'disk'; readonly leftBytes: number })
  | (OnNode & { readonly kind: 'clock'; readonly stepMs: number })
  /** `which` of 0 to 1 chooses among the files that are there then, and the byte in it. */
  | (OnNode & { readonly kind: 'rot'; readonly which: number; readonly truncates: boolean })
  | { readonly kind: 'partition'; readonly atMs: number; readonly groups: readonly (readonly number[])[] }
)

/** How a push brings its blobs: sent unasked, asked for with HEAD first, or mounted from another repository. */
export type Way = 'blind' | 'ask' | 'mount'

interface Named extends OnNode {
  readonly repository: string
  readonly tag: string
}

export type Task =
  | (Named & {
      readonly kind: 'push'
      readonly image: number
      readonly way: Way
      readonly from: string
      readonly byDigest: boolean
      readonly inChunks: boolean
    })
  | (Named & { readonly kind: 'pull' | 'head' | 'untag' | 'remove' })
  | (Named & { readonly kind: 'import'; readonly image: number })
  | (Named & { readonly kind: 'delete' | 'pull-digest'; readonly image: number })
  | (Named & { readonly kind: 'range'; readonly image: number; readonly from: number; readonly to: number })
  | (Named & { readonly kind: 'list' })
  | (OnNode & { readonly kind: 'collect'; readonly graceMs: number })

export interface Round {
  readonly faults: readonly Fault[]
  readonly tasks: readonly Task[]
}

export interface PlanOptions {
  readonly seed: number
  readonly nodes: number
  readonly kinds?: readonly FaultKind[]
  /** How long tasks and faults go on, before the cluster is left alone and checked. */
  readonly roundMs?: number
  readonly tasksPerSecond?: number
}

export const repositories = ['soak/web', 'soak/api', 'soak/db', 'soak/deep/er/name', 'soak/tool']
export const tags = ['latest', '1', '2', '3', 'stable', 'v1.0']

/** Of a hundred tasks. */
const weights: Record<Task['kind'], number> = {
  push: 30,
  pull: 22,
  head: 8,
  range: 10,
  'pull-digest': 7,
  list: 5,
  untag: 7,
  delete: 5,
  remove: 2,
  import: 2,
  collect: 2,
}
/** Kinds of one round; with all of them at once nobody could tell which one it was. */
const kindsPerRound = 3
/** Before the first fault of a round, and between two of a kind. */
const quietMs = 1_000

/** The plan of one round; those before it need not be made for that. */
export function planRound(index: number, options: PlanOptions): Round {
  const { seed, nodes, kinds = faultKinds, roundMs = 60_000, tasksPerSecond = 3 } = options
  const chosen = kindsOf(index, seed, kinds)
  const random = new Random(Math.imul(seed + 1, 0x9e3779b1) ^ index)
  return {
    faults: chosen.flatMap((kind) => faultsOf(kind, random, nodes, roundMs)).toSorted(byTime),
    tasks: tasksOf(random, nodes, roundMs, tasksPerSecond),
  }
}

/** Dealt from a shuffled pack after another, so that every kind comes up soon and in changing company. */
function kindsOf(index: number, seed: number, kinds: readonly FaultKind[]): FaultKind[] {
  const size = Math.min(kindsPerRound, kinds.length)
  const chosen = new Set<FaultKind>()
  const random = new Random(seed)
  for (let round = 0, pack: FaultKind[] = []; round <= index; round++) {
    chosen.clear()
    while (chosen.size < size) {
      if (pack.length === 0) pack = shuffled(kinds, random)
      const kind = pack.find((candidate) => !chosen.has(candidate)) ?? random.pick(kinds)
      chosen.add(kind)
      pack = pack.filter((other) => other !== kind)
    }
  }
  return [...chosen]
}

/** One or two of a kind, one after the other. */
function faultsOf(kind: FaultKind, random: Random, nodes: number, roundMs: number): Fault[] {
  const count = kind === 'rot' || kind === 'kill' ? random.between(2, 3) : random.between(1, 2)
  const slotMs = Math.floor((roundMs - quietMs) / count)
  return Array.from({ length: count }, (_, slot) => {
    const forMs = Math.min(random.between(500, longestMs[kind]), slotMs - quietMs)
    const atMs = quietMs + slot * slotMs + random.between(0, slotMs - quietMs - forMs)
    return faultOf(kind, random, nodes, { atMs, forMs })
  })
}

const longestMs: Record<FaultKind, number> = {
  kill: 8_000,
  restart: 4_000,
  stop: 18_000,
  partition: 25_000,
  disk: 10_000,
  clock: 20_000,
  rot: 500,
}

function faultOf(
  kind: FaultKind,
  random: Random,
  nodes: number,
  time: { atMs: number; forMs: number },
): Fault {
  const at = { ...time, node: random.between(0, nodes - 1) }
  switch (kind) {
    case 'kill':
    case 'restart':
    case 'stop':
      return { ...at, kind }
    case 'disk':
      return { ...at, kind, leftBytes: random.pick([0, 4096, 65_536, 1_000_000, 6_000_000]) }
    case 'clock':
      return {
        ...at,
        kind,
        stepMs: random.pick([-1, 1]) * random.pick([300, 5_000, 45_000, 130_000, 600_000]),
      }
    case 'rot':
      return { ...at, kind, which: random.next(), truncates: random.next() < 0.3 }
    case 'partition':
      return { ...time, kind, groups: split(random, nodes) }
  }
}

/** When in its round, where and for how long, in seconds. */
export function printedFault(fault: Fault): string {
  const where =
    fault.kind === 'partition'
      ? fault.groups.map((group) => group.join(' ')).join(' | ')
      : `node ${fault.node}`
  const [from, to] = [fault.atMs, fault.atMs + fault.forMs].map((ms) => (ms / 1000).toFixed(1))
  return `${fault.kind} ${where}${'stepMs' in fault ? ` by ${fault.stepMs / 1000}` : ''} ${from}-${to}`
}

/** Two groups, neither of them empty. */
function split(random: Random, nodes: number): number[][] {
  const order = shuffled(
    Array.from({ length: nodes }, (_, node) => node),
    random,
  )
  const size = random.between(1, nodes - 1)
  return [order.slice(0, size).toSorted(), order.slice(size).toSorted()]
}

function tasksOf(random: Random, nodes: number, roundMs: number, perSecond: number): Task[] {
  const count = Math.floor((roundMs / 1000) * perSecond)
  return Array.from({ length: count }, () => {
    const atMs = random.between(0, roundMs)
    return taskOf(random, { atMs, node: random.between(0, nodes - 1) })
  }).toSorted(byTime)
}

function taskOf(random: Random, at: OnNode): Task {
  const kind = weighted(random)
  const named = { ...at, repository: random.pick(repositories), tag: random.pick(tags) }
  // Low numbers come often, so that images meet deletions of themselves.
  const image = Math.floor(random.next() ** 3 * imageCount)
  switch (kind) {
    case 'push':
      return {
        ...named,
        kind,
        image,
        way: random.pick(['blind', 'ask', 'ask', 'mount']),
        from: random.pick(repositories),
        byDigest: random.next() < 0.15,
        inChunks: random.next() < 0.25,
      }
    case 'range': {
      const [from = 0, to = 1] = [random.next(), random.next()].toSorted((a, b) => a - b)
      return { ...named, kind, image, from, to }
    }
    case 'delete':
    case 'pull-digest':
    case 'import':
      return { ...named, kind, image }
    case 'collect':
      return { ...at, kind, graceMs: random.pick([0, 5_000, 60_000]) }
    case 'pull':
    case 'head':
    case 'untag':
    case 'remove':
    case 'list':
      return { ...named, kind }
  }
}

function weighted(random: Random): Task['kind'] {
  const entries = Object.entries(weights) as [Task['kind'], number][]
  let left = random.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [kind, weight] of entries) {
    left -= weight
    if (left < 0) return kind
  }
  return 'pull'
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const keyed = items.map((item): [number, T] => [random.next(), item])
  return keyed.toSorted(([a], [b]) => a - b).map(([, item]) => item)
}

function byTime(a: { atMs: number }, b: { atMs: number }): number {
  return a.atMs - b.atMs
}

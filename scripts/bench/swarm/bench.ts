/** What a measurement of the swarm is given, and the figures that it returns. */

import type { Node } from '../cluster/nodes.ts'
import type { BlobMaker } from '../content.ts'
import type { Curve } from './curves.ts'

export interface SwarmBench {
  readonly reps: number
  /** Every size and pause is multiplied by it; 1 for a run to judge by. */
  readonly scale: number
  /** Of every link, both ways, in the measurements that shape them; half of it with sixteen hosts. */
  readonly megabits: number
  /** Cold hosts beside the holder. */
  readonly cold: number
  readonly maker: BlobMaker
  /** The run's own folder. */
  readonly root: string
  readonly signal: AbortSignal
  readonly memory: MemoryWatch
  /** Keeps a row of the table of link speeds and sizes. */
  keepRegime(row: RegimeRow): void
  /** Keeps what the plot is made of. */
  keep(fanout: Fanout): void
  say(text: string): void
}

/** One herd at one link speed; a value for each turn. */
export interface RegimeRow {
  hosts: number
  megabits: number
  mebibytes: number
  /** Over the size by the link's speed. */
  slowest: RegimeCell
  /** That the holder sent. */
  copies: RegimeCell
  /** Of all nodes, for each MiB and host. */
  cpuMs: RegimeCell
  /** The slowest host at a central registry, where there was one. */
  central?: RegimeCell
}

export interface RegimeCell {
  values: number[]
  reach?: Reach
}

/** One herd that got one blob in both ways. */
export interface Fanout {
  readonly bytes: number
  readonly megabits: number
  readonly swarm: readonly Curve[]
  readonly central: readonly Curve[]
}

/** Remembers the most memory that any node took. */
export interface MemoryWatch {
  note(nodes: readonly Node[]): Promise<void>
}

export type Reach = { atMost: number } | { atLeast: number }

export interface Figure {
  what: string
  unit: string
  /** One for each turn; none of what is only told is judged. */
  values: number[]
  reach?: Reach
}

export interface Measurement {
  readonly name: string
  /** Needs root and network namespaces. */
  readonly namespaces?: true
  run(bench: SwarmBench): Promise<Figure[]>
}

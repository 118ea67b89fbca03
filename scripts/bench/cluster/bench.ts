/** What a measurement of the cluster is given, and the figures that it returns. */
export interface ClusterBench {
  /** How many nodes the cluster has. */
  readonly size: number
  /** How long the partition lasts. */
  readonly cutMs: number
  /** How many tags change while a node is away. */
  readonly changes: number
  /** How many tags a new node finds. */
  readonly names: number
  /** How many records the thrower throws. */
  readonly thrown: number
  /** How long the idle cluster is watched. */
  readonly idleMs: number
  /** The run's own folder. */
  readonly root: string
  say(text: string): void
}

export interface Figure {
  what: string
  unit: string
  value: number
  /** None for what is only told. */
  atMost?: number
}

export interface Measurement {
  readonly name: string
  /** Needs root and network namespaces. */
  readonly namespaces?: true
  run(bench: ClusterBench): Promise<Figure[]>
}

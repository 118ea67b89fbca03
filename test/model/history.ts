/** What happened to a cluster, as one observer with one clock saw it: what was asked of which node, and who could not reach whom. */

interface Span {
  /** When the request was sent, in milliseconds of the observer's clock. */
  beginMs: number
  /**
   * When its answer was there. For an `unknown` outcome: when it is certainly over, such as when the node was killed;
   * Infinity while it may still take effect.
   */
  endMs: number
  node: string
}

export interface WriteSpan extends Span {
  /** `refused` had no effect; `unknown` had one or not: a timeout, a broken connection, any 5xx. */
  outcome: 'acknowledged' | 'refused' | 'unknown'
}

/** A write as a client asks for it. Digests, names and nodes are any texts. */
export type Write = WriteSpan & { repository: string } & (
    | { kind: 'push'; digest: string; tags: string[]; blobs: string[]; manifests: string[] }
    | { kind: 'delete-tag'; tag: string }
    | { kind: 'delete-manifest'; digest: string }
    /** An upload or a mount. */
    | { kind: 'push-blob'; digest: string }
    | { kind: 'delete-blob'; digest: string }
  )

export type WriteOf<K extends Write['kind']> = Extract<Write, { kind: K }>

interface Blocked {
  fromMs: number
  toMs: number
  blocks(a: string, b: string): boolean
}

export interface HistoryOptions {
  nodes: string[]
  /** Two nodes that reach each other for this long have told each other everything. */
  settleMs: number
  /** How far apart two clocks may be. */
  clockErrorMs: number
}

export class History {
  readonly writes: Write[] = []
  readonly #options: HistoryOptions
  readonly #blocked: Blocked[] = []
  readonly #lost: { node: string; atMs: number; digests: readonly string[] | undefined }[] = []

  constructor(options: HistoryOptions) {
    this.#options = options
  }

  get settleMs(): number {
    return this.#options.settleMs
  }

  /** May be added when it ends; a read is judged by the writes that were added before. */
  add(write: Write): void {
    this.writes.push(write)
  }

  /** From then on no node of `some` reaches one of `others`. Returns what heals it. */
  cut(fromMs: number, some: string[], others: string[]): (toMs: number) => void {
    return this.#block(
      fromMs,
      (a, b) => (some.includes(a) && others.includes(b)) || (some.includes(b) && others.includes(a)),
    )
  }

  /** From then on the node is stopped or dead. Returns what says since when it is ready again. */
  down(fromMs: number, node: string): (toMs: number) => void {
    return this.#block(fromMs, (a, b) => a === node || b === node)
  }

  /**
   * The node's blobs and manifests were damaged or removed: these, or all of them. One that lost its records as well comes back
   * under a new name.
   */
  lose(atMs: number, node: string, digests?: readonly string[]): void {
    this.#lost.push({ node, atMs, digests })
  }

  /** Whether nothing stood between them at any time from `fromMs` to `toMs`. */
  reached(a: string, b: string, fromMs: number, toMs: number): boolean {
    return !this.#blocked.some(
      (blocked) => blocked.fromMs <= toMs && blocked.toMs > fromMs && blocked.blocks(a, b),
    )
  }

  /** Whether what was written there then is there still, as far as faults go. */
  keeps(write: Write, atMs: number): boolean {
    return !this.#lost.some(
      ({ node, atMs: lostMs, digests }) =>
        node === write.node &&
        lostMs >= write.beginMs &&
        lostMs <= atMs &&
        (digests === undefined || digests.some((digest) => consistsOf(write, digest))),
    )
  }

  /** Since when the node must know the write's records; Infinity when it need not. */
  knownMs(write: Write, node: string): number {
    if (write.outcome !== 'acknowledged') return Number.POSITIVE_INFINITY
    const known = new Map([[write.node, write.endMs]])
    const pending = [write.node]
    for (let from = pending.shift(); from !== undefined; from = pending.shift()) {
      const sinceMs = known.get(from) ?? Number.POSITIVE_INFINITY
      for (const to of this.#options.nodes) {
        const toldMs = this.#toldMs(from, to, sinceMs)
        if (toldMs >= (known.get(to) ?? Number.POSITIVE_INFINITY)) continue
        known.set(to, toldMs)
        pending.push(to)
      }
    }
    return known.get(node) ?? Number.POSITIVE_INFINITY
  }

  /** Whether `after` certainly has a later say than `before`: by real time and beyond clock error, or because it saw it. */
  isLater(after: Write, before: Write): boolean {
    if (after.outcome !== 'acknowledged') return false
    if (after.beginMs > before.endMs + this.#options.clockErrorMs) return true
    return this.knownMs(before, after.node) <= after.beginMs
  }

  /** Whether every node knows all that was asked of any, so that all give the same answers. */
  isSettled(atMs: number): boolean {
    return this.writes.every(
      (write) =>
        write.outcome === 'refused' ||
        (write.outcome === 'acknowledged' &&
          this.#options.nodes.every((node) => this.knownMs(write, node) <= atMs)),
    )
  }

  #block(fromMs: number, blocks: Blocked['blocks']): (toMs: number) => void {
    const blocked = { fromMs, toMs: Number.POSITIVE_INFINITY, blocks }
    this.#blocked.push(blocked)
    return (toMs) => {
      blocked.toMs = toMs
    }
  }

  #toldMs(from: string, to: string, sinceMs: number): number {
    const { settleMs } = this.#options
    for (let startMs = sinceMs; startMs < Number.POSITIVE_INFINITY; ) {
      const endMs = startMs + settleMs
      const between = this.#blocked.filter(
        (blocked) => blocked.fromMs < endMs && blocked.toMs > startMs && blocked.blocks(from, to),
      )
      if (between.length === 0) return endMs
      startMs = Math.max(...between.map(({ toMs }) => toMs))
    }
    return Number.POSITIVE_INFINITY
  }
}

function consistsOf(write: Write, digest: string): boolean {
  return ('digest' in write && write.digest === digest) || ('blobs' in write && write.blobs.includes(digest))
}

/** What went wrong with which peer, counted by what it was. */
import { type Logger, type Metrics, RecentMap } from '../../base/base.ts'

export type Fault =
  /** Bytes that do not have the hash that their sender vouched for. */
  | 'wrong-bytes'
  /** A piece list that is malformed, badly signed, of another blob, or not the one of the bytes that came with it. */
  | 'wrong-list'
  /** It signed a piece list whose pieces do not make up the blob. */
  | 'lying-list'
  /** A message that the protocol does not allow, or far too many that say nothing. */
  | 'protocol'
  /** Silent although asked. */
  | 'stalled'
  /** Its connection broke or could not be opened. */
  | 'broken'
  /** It told that a piece was wrong which is right here. */
  | 'false-complaint'
  /** The direct connection to it broke, or cannot be had. */
  | 'direct'

/** Faults that are malice or a broken machine, and never just a network that failed. */
export type Misconduct = Extract<Fault, 'wrong-bytes' | 'wrong-list' | 'lying-list' | 'protocol'>

const misconduct: ReadonlySet<Fault> = new Set(['wrong-bytes', 'wrong-list', 'lying-list', 'protocol'])
const maxPeers = 1024

export class Faults {
  readonly #counts = new RecentMap<string, Map<Fault, number>>(maxPeers)
  readonly #blame: (peer: string, misconduct: Misconduct) => void
  readonly #logger: Logger
  readonly #metrics: Metrics

  constructor(options: {
    blame: (peer: string, misconduct: Misconduct) => void
    logger: Logger
    metrics: Metrics
  }) {
    this.#blame = options.blame
    this.#logger = options.logger
    this.#metrics = options.metrics
  }

  add(peer: string, fault: Fault, facts: object = {}): void {
    const counts = this.#counts.get(peer) ?? new Map<Fault, number>()
    this.#counts.set(peer, counts.set(fault, (counts.get(fault) ?? 0) + 1))
    this.#metrics.count('shoal_exchange_faults_total', { fault })
    if (isMisconduct(fault)) {
      this.#logger.warn({ peer, fault, ...facts }, 'a peer misbehaved')
      this.#blame(peer, fault)
    } else this.#logger.debug({ peer, fault, ...facts }, 'a peer failed')
  }

  of(peer: string): Partial<Record<Fault, number>> {
    return Object.fromEntries(this.#counts.get(peer) ?? [])
  }

  peers(): Iterable<string> {
    return this.#counts.keys()
  }
}

function isMisconduct(fault: Fault): fault is Misconduct {
  return misconduct.has(fault)
}

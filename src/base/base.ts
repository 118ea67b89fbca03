/** What every module may lean on: a coded error, a logger, metrics, traces, a clock, and small concurrency tools. */

export { Background } from './background.ts'
export { breather } from './breather.ts'
export { type Clock, inStep, steadyClock, wallClock } from './clock.ts'
export { ClosingError } from './closing-error.ts'
export { CodedError } from './coded-error.ts'
export { isClosing, isExpected, isKnownState, logFailure, NodeStateError } from './failure.ts'
export { FairBudget } from './fair-budget.ts'
export { Fifo } from './fifo.ts'
export { firstOf } from './first-of.ts'
export { Keyed } from './keyed.ts'
export { LogLimit } from './log-limit.ts'
export { type Logger, silentLogger } from './logger.ts'
export { type Metrics, noMetrics, type ReadGauge } from './metrics.ts'
export { networkOf } from './network-of.ts'
export { paged } from './paged.ts'
export { patience } from './patience.ts'
export { fromUpstream, type Origins, originsOf, type Provenance } from './provenance.ts'
export { formatBytes, parseDuration, parseSize, writeDuration, writeSize } from './quantities.ts'
export { RecentMap } from './recent-map.ts'
export { Semaphore } from './semaphore.ts'
export { shuffled } from './shuffled.ts'
export { SingleFlight } from './single-flight.ts'
export { noteSpent } from './spent-buffers.ts'
export { systemReason } from './system-reason.ts'
export { TokenBucket } from './token-bucket.ts'
export {
  type Deleted,
  noTrace,
  noTracer,
  type Pulled,
  type Pushed,
  preciseNow,
  type Stage,
  type Trace,
  type Tracer,
  timed,
} from './tracer.ts'
export { unlessAborted, untilOrAfter } from './unless-aborted.ts'
export { WaitingRoom } from './waiting-room.ts'

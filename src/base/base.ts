/** What every module may lean on: a coded error, a logger, metrics, a clock, and small concurrency tools. */
export { type Clock, systemClock } from './clock.ts'
export { CodedError } from './coded-error.ts'
export { Keyed } from './keyed.ts'
export { type Logger, silentLogger } from './logger.ts'
export { type Metrics, noMetrics } from './metrics.ts'
export { Semaphore } from './semaphore.ts'
export { SingleFlight } from './single-flight.ts'

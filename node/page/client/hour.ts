/** The last hour as a chart takes it, and as a sentence. */
import type { HourAnswer, MinuteFacts } from '../answers/hour.ts'
import { formatBytes, formatCount, formatList } from './format.ts'

export const sources = ['local', 'peer', 'upstream'] as const
export type Source = (typeof sources)[number]

export const sourceWords: Record<Source, string> = {
  local: 'this node',
  peer: 'other members',
  upstream: 'upstreams',
}

export interface Lines {
  /** Seconds since the epoch, of each minute's end. */
  times: number[]
  /** One for each line, as long as `times`. */
  values: number[][]
}

/** Of a minute that has only begun a rate says nothing. */
const leastMs = 5_000

/** What clients read, in bytes a second, by source. */
export function readLines(minutes: readonly MinuteFacts[]): Lines {
  const told = worthTelling(minutes)
  const rate = (of: Source) => told.map(({ bytes, fromMs, toMs }) => (bytes[of] / (toMs - fromMs)) * 1000)
  return { times: told.map(({ toMs }) => toMs / 1000), values: sources.map(rate) }
}

/** Pulls by source, and those that failed, as many as there were. */
export function pullLines(minutes: readonly MinuteFacts[]): Lines {
  const times = minutes.map(({ toMs }) => toMs / 1000)
  const pulls = sources.map((source) => minutes.map((minute) => minute.pulls[source]))
  return { times, values: [...pulls, minutes.map(({ failed }) => failed)] }
}

export function hourInWords({ minutes }: Pick<HourAnswer, 'minutes'>): string {
  const sum = (of: (minute: MinuteFacts) => number) =>
    minutes.reduce((total, minute) => total + of(minute), 0)
  const read = sum(({ bytes }) => bytes.local + bytes.peer + bytes.upstream)
  const pulls = sum(({ pulls: { local, peer, upstream } }) => local + peer + upstream)
  const failed = sum((minute) => minute.failed)
  const pushed = sum(({ pushedBytes }) => pushedBytes)
  const lost = failed === 0 ? '' : ` ${formatCount(failed, 'pull')} failed.`
  const taken = pushed === 0 ? '' : ` ${formatBytes(pushed)} were pushed.`
  if (pulls === 0) return `No client of this node pulled anything.${lost}${taken}`
  const from = sources.flatMap((source) => {
    const bytes = sum((minute) => minute.bytes[source])
    return bytes === 0 ? [] : [`${formatBytes(bytes)} from ${sourceWords[source]}`]
  })
  const all = from.length > 1 ? `${formatBytes(read)}: ${formatList(from)}` : (from[0] ?? formatBytes(read))
  return `Clients read ${all}, in ${formatCount(pulls, 'pull')} of manifests and blobs.${lost}${taken}`
}

/** Whether there is anything to draw. */
export function isQuiet({ minutes }: Pick<HourAnswer, 'minutes'>): boolean {
  return minutes.every(
    ({ pulls: { local, peer, upstream }, failed }) => local + peer + upstream + failed === 0,
  )
}

function worthTelling(minutes: readonly MinuteFacts[]): MinuteFacts[] {
  return minutes.filter(({ fromMs, toMs }, index) => index < minutes.length - 1 || toMs - fromMs >= leastMs)
}

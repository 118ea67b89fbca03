/** A node's status as it is shown on one screen of 80 by 24. */
import { stripVTControlCharacters } from 'node:util'
import type { NodeStatus, TransferStatus } from '../operations/status.ts'
import {
  bold,
  dim,
  formatBytes,
  formatCount,
  formatDuration,
  formatTable,
  green,
  printable,
  red,
  truncate,
  widthOf,
  wrap,
  yellow,
} from './output.ts'
import { bar } from './progress.ts'

/** Bytes per second, from two statuses. */
export interface Rates {
  received: number
  sent: number
  /** By digest, of the transfers that both statuses have. */
  transfers: Map<string, number>
}

export interface Screen {
  columns: number
  rows: number
}

const shownAway = 3
const labelWidth = 10
const barWidth = 16
const shortDigest = 'sha256:'.length + 12

export function ratesBetween(before: NodeStatus, after: NodeStatus): Rates | undefined {
  const seconds = (after.nowMs - before.nowMs) / 1000
  if (seconds <= 0) return undefined
  // A node that was started anew counts from zero.
  const rate = (from: number, to: number): number => Math.max(0, to - from) / seconds
  const held = new Map(before.transfers.map(({ digest, heldBytes }) => [digest, heldBytes]))
  const transfers = after.transfers.flatMap(({ digest, heldBytes }): [string, number][] => {
    const earlier = held.get(digest)
    return earlier === undefined ? [] : [[digest, rate(earlier, heldBytes)]]
  })
  return {
    received: rate(before.traffic.receivedBytes, after.traffic.receivedBytes),
    sent: rate(before.traffic.sentBytes, after.traffic.sentBytes),
    transfers: new Map(transfers),
  }
}

/** Lines that fit the screen, the last row left for the prompt. */
export function renderStatus(status: NodeStatus, rates: Rates | undefined, screen: Screen): string {
  const line = (label: string, text: string): string =>
    `${bold(label.padEnd(labelWidth))}${fitStyled(text, screen.columns - labelWidth)}`
  const head = [
    ...nodeLines(status).map(([label, text]) => line(label, text)),
    line('Cluster', clusterText(status)),
    ...(status.cluster.away === undefined ? [] : [line('Away', awayText(status.cluster.away))]),
    line('Disk', diskText(status)),
    line('Scrub', scrubText(status)),
    ...(status.running === undefined ? [] : [line('Moved', trafficText(status, rates))]),
    ...(status.upstreams.length === 0 ? [] : [line('Upstream', upstreamsText(status))]),
    ...(status.keepRules === 0
      ? []
      : [line('Keeps', `by ${formatCount(status.keepRules, 'rule')}, see shoal keep ls`)]),
  ]
  if (status.short.images > 0) head.push(line('Copies', shortText(status)))
  const problems = problemLines(status.problems, screen.columns)
  const room = Math.max(0, screen.rows - 1 - head.length - problems.length)
  const coming = transferLines(status.transfers, rates, screen.columns, room)
  return [...head, ...coming, ...problems].map((text) => `${text}\n`).join('')
}

function nodeLines({ version, name, data, running, nowMs }: NodeStatus): [string, string][] {
  if (running === undefined) {
    return [
      ['Node', printable(name)],
      ['Running', `${red('no')}, start it with shoal serve`],
      ['Data', data],
    ]
  }
  const [first = '-', ...others] = running.p2p
  const more =
    others.length === 0 ? '' : dim(` and ${formatCount(others.length, 'other address', 'other addresses')}`)
  const up = formatDuration(nowMs - running.startedMs)
  return [
    ['Node', printable(name)],
    ['Running', `shoal ${version}, up ${up}, process ${running.pid}`],
    ['Data', data],
    ['Registry', `${running.scheme}://${running.http}`],
    ['Peers at', `${first.replace(/\/p2p\/.*/, '')}${more}`],
  ]
}

function clusterText({ cluster, running }: NodeStatus): string {
  const { id, members, records, holdsAuthority } = cluster
  const count = members.length
  const connected = formatCount(count, 'member')
  const parts = [
    id,
    ...(running === undefined ? [] : [`${count === 0 ? yellow('no member') : green(connected)} connected`]),
    formatCount(records, 'record'),
    ...(holdsAuthority ? ['authority here'] : []),
  ]
  return parts.join(', ')
}

/** Members' own words. */
function awayText(names: readonly string[]): string {
  const shown = names.slice(0, shownAway).map(printable).join(', ')
  const more = names.length > shownAway ? ` and ${names.length - shownAway} more` : ''
  return `${yellow(`${shown}${more}`)}; shoal doctor says why`
}

function diskText({ disk }: NodeStatus): string {
  const { blobs, blobBytes, freeBytes, totalBytes, partials, partialBytes, limit } = disk
  const parts = [
    `${formatBytes(blobBytes)} in ${formatCount(blobs, 'blob')}`,
    ...(limit === undefined
      ? [`${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} free`]
      : [
          `${formatBytes(limit.filledBytes)} of ${formatBytes(limit.maxBytes)} filled`,
          `${formatBytes(freeBytes)} free`,
        ]),
    ...(partials === 0 ? [] : [`${formatBytes(partialBytes)} unfinished`]),
  ]
  return parts.join(', ')
}

function scrubText({ scrub, nowMs }: NodeStatus): string {
  const { round, last, done, periodMs } = scrub
  if (periodMs === 0) return `${yellow('off')}, start the node with --scrub 30d`
  const ago =
    last === undefined ? 'not all was read yet' : `all was read ${formatDuration(nowMs - last.endedMs)} ago`
  const wrong = round.corrupt + (last?.corrupt ?? 0)
  const unread = round.unread + (last?.unread ?? 0)
  const parts = [
    `${Math.floor(done * 100)} % of a round of ${formatDuration(periodMs)}`,
    ago,
    ...(wrong === 0 ? [] : [red(`${wrong} wrong`)]),
    ...(unread === 0 ? [] : [yellow(`${unread} not readable`)]),
  ]
  return parts.join(', ')
}

function shortText({ short }: NodeStatus): string {
  const [oldest] = short.list
  const first =
    oldest === undefined
      ? ''
      : `, ${oldest.repository}@${oldest.digest.slice(0, shortDigest)} at ${oldest.held} of ${oldest.wanted}`
  return `${yellow(`${formatCount(short.images, 'image')} short of copies`)}${first}`
}

function trafficText({ traffic }: NodeStatus, rates: Rates | undefined): string {
  const text = (bytes: number, rate: number | undefined): string =>
    rate === undefined ? formatBytes(bytes) : `${formatBytes(bytes)} (${formatBytes(rate)}/s)`
  return `${text(traffic.receivedBytes, rates?.received)} from members, ${text(traffic.sentBytes, rates?.sent)} to them`
}

function upstreamsText({ upstreams }: NodeStatus): string {
  return upstreams
    .map(({ name, reachable, pausedUntilMs, remaining, credentials }) => {
      if (pausedUntilMs !== undefined) return `${name} ${yellow('paused')}`
      if (reachable === false) return `${name} ${red('away')}`
      if (credentials?.refused === true) return `${name} ${red('refuses the credentials')}`
      return remaining === undefined ? name : `${name} (${remaining} requests left)`
    })
    .join(', ')
}

function transferLines(
  transfers: TransferStatus[],
  rates: Rates | undefined,
  columns: number,
  room: number,
): string[] {
  if (transfers.length === 0 || room < 2) return []
  const shown = transfers.slice(0, transfers.length < room ? transfers.length : room - 2)
  const rows = shown.map(({ digest, repository, bytes, heldBytes, peers }) => {
    const rate = rates?.transfers.get(digest)
    return [
      bytes === undefined ? dim('looking for it') : bar(bytes === 0 ? 1 : heldBytes / bytes, barWidth),
      digest.slice(0, shortDigest),
      bytes === undefined ? '' : formatBytes(bytes),
      rate === undefined ? '' : `${formatBytes(rate)}/s`,
      `${peers} peers`,
      repository ?? '',
    ]
  })
  const table = formatTable(rows).trimEnd().split('\n')
  const omitted = transfers.length - shown.length
  const more = omitted === 0 ? [] : [dim(`  and ${omitted} more`)]
  return [bold(`On the way (${transfers.length})`), ...table.map((row) => fitStyled(row, columns)), ...more]
}

/** Whole sentences matter more than the screen's shape: they are wrapped, not cut. */
function problemLines(problems: string[], columns: number): string[] {
  return problems.flatMap((problem) => {
    const [first = '', ...rest] = wrap(printable(problem), columns - labelWidth)
    const indent = ' '.repeat(labelWidth)
    return [`${red('Problem'.padEnd(labelWidth))}${first}`, ...rest.map((line) => `${indent}${line}`)]
  })
}

/** Styled text is only cut where it has to be, and loses its colours then. */
function fitStyled(text: string, width: number): string {
  return widthOf(text) <= width ? text : truncate(stripVTControlCharacters(text), width)
}

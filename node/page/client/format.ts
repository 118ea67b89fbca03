/** Sizes, rates, times and names as the page writes them. */

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1)
  const value = bytes / 1024 ** power
  // 1023.96 KiB must not read 1024.0 KiB.
  if (power > 0 && power < units.length - 1 && value >= 1023.5) return `1.0 ${units[power + 1]}`
  return `${power === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[power]}`
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`
}

const spans: [string, number][] = [
  ['year', 365 * 86_400_000],
  ['month', 30 * 86_400_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
]

/** Such as `3 days`, in the largest unit of which there is one; under a minute, `less than a minute`. */
export function formatSpan(ms: number): string {
  for (const [name, lengthMs] of spans) {
    const count = Math.floor(ms / lengthMs)
    if (count >= 1) return formatCount(count, name)
  }
  return 'less than a minute'
}

/** Such as `3 days ago`. */
export function formatAge(atMs: number, nowMs: number): string {
  const ms = nowMs - atMs
  return ms < 60_000 ? 'just now' : `${formatSpan(ms)} ago`
}

/** Round trips: what is under a millisecond is as good as here. */
export function formatLatency(ms: number): string {
  return ms < 1 ? 'under 1 ms' : `${Math.round(ms)} ms`
}

/** Time that is left, such as `42 s`, `3 min 20 s` or `2 h 5 min`. */
export function formatLeft(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
  return 'more than a day'
}

/** In the reader's own time zone and manner. */
export function formatTime(ms: number): string {
  return new Date(ms).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })
}

/** Such as `1 blob`, `2 blobs`, `1,204 blobs`. */
export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${formatNumber(count)} ${count === 1 ? one : many}`
}

export function formatNumber(value: number): string {
  return value.toLocaleString('en')
}

export function formatPercent(part: number, whole: number): string {
  if (whole <= 0) return '0 %'
  // What is not whole is not 100 %.
  return `${part >= whole ? 100 : Math.min(99, Math.floor((part / whole) * 100))} %`
}

/** The algorithm is left out, and so is most of the rest. */
export function shortDigest(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1).slice(0, 12)
}

/** Peer ids of one kind begin alike, so their ends tell them apart. */
export function shortPeer(peer: string): string {
  return peer.length > 12 ? `…${peer.slice(-8)}` : peer
}

/** Such as `a`, `a and b`, `a, b and c`, `a, b and 3 others`. */
export function formatList(items: readonly string[], most = 3): string {
  const [first, ...others] = items
  if (first === undefined) return ''
  if (items.length <= most) {
    const last = others.at(-1)
    return last === undefined ? first : `${[first, ...others.slice(0, -1)].join(', ')} and ${last}`
  }
  const shown = items.slice(0, most - 1)
  return `${shown.join(', ')} and ${items.length - shown.length} others`
}

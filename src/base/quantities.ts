/** Sizes and durations as people write them. */

const sizes: Record<string, number> = { TiB: 2 ** 40, GiB: 2 ** 30, MiB: 2 ** 20, KiB: 2 ** 10, '': 1 }
const durationsMs: Record<string, number> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }
const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** Bytes, of such as `512MiB`; `undefined` for what is no size. */
export function parseSize(text: string): number | undefined {
  const [, amount, unit = ''] = /^(\d{1,12})(KiB|MiB|GiB|TiB)?$/.exec(text) ?? []
  const bytes = Number(amount) * (sizes[unit] ?? Number.NaN)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Milliseconds, of such as `30s` or `7d`; `undefined` for what is no duration. */
export function parseDuration(text: string): number | undefined {
  const [, amount, unit = ''] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? []
  const unitMs = durationsMs[unit]
  return amount === undefined || unitMs === undefined ? undefined : Number(amount) * unitMs
}

/** As `parseSize` reads it, without loss. */
export function writeSize(bytes: number): string {
  return inUnits(bytes, sizes)
}

/** As `parseDuration` reads it, without loss. */
export function writeDuration(ms: number): string {
  return inUnits(ms, durationsMs)
}

/** For a person, in the largest unit of which there is one, such as `61.4 GiB`. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), byteUnits.length - 1)
  const value = bytes / 1024 ** power
  return `${power === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${byteUnits[power]}`
}

function inUnits(amount: number, units: Record<string, number>): string {
  const exact = Object.entries(units).find(([, unit]) => amount >= unit && amount % unit === 0)
  const [name, unit] = exact ?? [Object.keys(units).at(-1), 1]
  return `${amount / unit}${name}`
}

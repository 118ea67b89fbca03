/** For how long access rules count at a node that hears from no member: as a policy writes it, such as 24h, and in a record. */
import { excerpt } from '../oci/oci.ts'
import { MalformedError } from '../wire/wire.ts'

const unitsMs = { d: 86_400_000, h: 3_600_000, m: 60_000 } as const

/** Less is how long a member may take to be met again. Throws `MALFORMED`. */
export const minAccessAgeMs = 10 * unitsMs.m
export const maxAccessAgeMs = 400 * unitsMs.d

export function accessAgeValue(text: string): number {
  const [, amount, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? []
  const ms = Number(amount) * (unit === 'm' || unit === 'h' || unit === 'd' ? unitsMs[unit] : Number.NaN)
  if (ms >= minAccessAgeMs && ms <= maxAccessAgeMs) return ms
  throw new MalformedError(`accessMaxAge: "${excerpt(text)}" is no time from 10m to 400d, such as 24h`)
}

export function accessAgeText(ms: number): string {
  if (ms % unitsMs.d === 0 && ms > unitsMs.d) return `${ms / unitsMs.d}d`
  return ms % unitsMs.h === 0 ? `${ms / unitsMs.h}h` : `${Math.ceil(ms / unitsMs.m)}m`
}

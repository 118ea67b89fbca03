/** Who asks, as rules see them. */
import { type AccountEntry, isRobotName, robotName } from '../records/records.ts'

export interface Asker {
  /** Of the account; absent where nobody signed in. */
  readonly name?: string
  /** Tells askers apart that rules may see differently. */
  readonly key: string
  /** What rules can call them: `user:ann`, `group:ci`, `anyone`. */
  readonly names: readonly string[]
}

export const anonymous: Asker = { key: '', names: ['anonymous'] }

/** Whether who has its password or secret may sign in with it. */
export function isUsable({ value }: AccountEntry, nowMs: number): boolean {
  if (value.disabledMs !== undefined) return false
  return value.type === 'person' || value.expiresMs === undefined || value.expiresMs > nowMs
}

export function askerOf({ name, value, version }: AccountEntry): Asker {
  const own = isRobotName(name) ? `robot:${name.slice(robotName('').length)}` : `user:${name}`
  const groups = value.groups.map((group) => `group:${group}`)
  return { name, key: `${name} ${version}`, names: [own, ...groups, 'anyone'] }
}

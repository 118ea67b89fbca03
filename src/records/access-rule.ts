/** A policy's rules about what people may do, as they are written, and as they stand in a record. */
import { excerpt } from '../oci/oci.ts'
import { MalformedError } from '../wire/wire.ts'
import { isGroupName } from './account.ts'
import type { AccessValue } from './policy-schema.ts'

/**
 * What a rule can permit, in the order of its bits in a record. `admin` is for accounts, `members` for members and invitations, both
 * on the page, and so for no repository.
 */
export const accessRights = ['pull', 'push', 'delete', 'admin', 'members'] as const
export type AccessRight = (typeof accessRights)[number]
export type ClusterRight = Extract<AccessRight, 'admin' | 'members'>

export interface AccessRule {
  repositories: string
  /** `user:NAME`, `group:NAME`, `robot:NAME`, `anyone` who signed in, or `anonymous`. */
  who: string[]
  may: AccessRight[]
}

const whoPattern = /^(?:anyone|anonymous|(?:user|group|robot):(.+))$/

export function accessValue({ repositories, who, may }: AccessRule): AccessValue {
  for (const name of who) checkWho(name)
  for (const right of ['admin', 'members'] as const) {
    if (may.includes(right)) checkClusterRight(right, repositories, who)
  }
  const bits = accessRights.map((right, bit) => (may.includes(right) ? 1 << bit : 0))
  return { at: repositories, who, may: bits.reduce((sum, bit) => sum | bit, 0) }
}

export function accessText({ at, who, may }: AccessValue): AccessRule {
  return {
    repositories: at,
    who,
    may: accessRights.filter((_, bit) => (may & (1 << bit)) !== 0),
  }
}

/** Who may change accounts may sign in as anybody, and a host that is let in reads everything, so a rule says it in one way alone. */
function checkClusterRight(right: ClusterRight, repositories: string, who: readonly string[]): void {
  const wide = who.find((name) => name === 'anonymous' || name === 'anyone')
  if (wide !== undefined)
    throw new MalformedError(`"${right}" is given to accounts and groups by name, not to ${wide}`)
  const about = right === 'admin' ? 'accounts' : 'members and invitations'
  if (repositories !== '**')
    throw new MalformedError(
      `"${right}" is about ${about}, not about repositories: write it with "**", not with "${excerpt(repositories)}"`,
    )
}

/** A name that no account can have would be a rule for nobody, and so a typing error. */
function checkWho(who: string): void {
  const [whole, name] = whoPattern.exec(who) ?? []
  if (whole !== undefined && (name === undefined || isGroupName(name))) return
  throw new MalformedError(
    `"${excerpt(who)}" names nobody; write user:NAME, group:NAME, robot:NAME, with names of up to 64 of a-z, 0-9, and . _ - @ in between, anyone (who signed in) or anonymous`,
  )
}

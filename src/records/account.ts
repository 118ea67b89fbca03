/**
 * An account as it stands in a record. Everybody in the cluster can read it, so it holds what proves a secret, never the
 * secret: of a person's password the argon2id hash with its parameters, of a robot's, which is random, SHA-256.
 */
import { bytes, type Infer, list, literal, optional, struct, text, uint, variant } from '../wire/wire.ts'

/** What a hash may cost whoever checks it, as a record comes from elsewhere. */
const maxMemoryKib = 64 * 1024
const maxPasses = 8
const maxLanes = 4
/** The last moment that a Date can name. */
const maxTimeMs = 8_640_000_000_000_000

export const maxAccountGroups = 64

const common = {
  groups: list(text({ max: 64 }), { max: maxAccountGroups }),
  /** Since when it may not sign in. */
  disabledMs: optional(uint({ max: maxTimeMs })),
}

export const accountValue = variant('type', {
  person: struct({
    type: literal('person'),
    password: struct({
      algorithm: literal('argon2id'),
      memoryKib: uint({ max: maxMemoryKib }),
      passes: uint({ max: maxPasses }),
      lanes: uint({ max: maxLanes }),
      salt: bytes({ length: 16 }),
      hash: bytes({ length: 32 }),
    }),
    ...common,
  }),
  robot: struct({
    type: literal('robot'),
    /** SHA-256 of the secret's text. */
    secret: bytes({ length: 32 }),
    expiresMs: optional(uint({ max: maxTimeMs })),
    note: optional(text({ max: 256 })),
    ...common,
  }),
})

export type AccountValue = Infer<typeof accountValue>
export type PasswordHash = Extract<AccountValue, { type: 'person' }>['password']

/** An account as a ledger gives it. */
export interface AccountEntry {
  name: string
  value: AccountValue
  /** Changes with every change of the account: what was derived from an earlier version counts no more. */
  version: string
  writtenMs: number
  /** Who signed it, as a peer id. */
  author: string
}

const robotPrefix = 'robot$'
const plainName = /^[a-z0-9](?:[a-z0-9._@-]{0,62}[a-z0-9])?$/

/** Of a person `ann`, of a robot `robot$deploy`: lower case, so that no two look alike. */
export function isAccountName(text: string): boolean {
  return plainName.test(text.startsWith(robotPrefix) ? text.slice(robotPrefix.length) : text)
}

export function isRobotName(name: string): boolean {
  return name.startsWith(robotPrefix)
}

export function robotName(name: string): string {
  return robotPrefix + name
}

export function isGroupName(text: string): boolean {
  return plainName.test(text)
}

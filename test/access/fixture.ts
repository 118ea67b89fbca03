/** Accounts and rules in memory, with hashes that cost next to nothing. */
import { argon2Sync, randomBytes } from 'node:crypto'
import { hashSecret } from '../../src/access/access.ts'
import type { AccessRule, AccountEntry, AccountValue, ChangedKey } from '../../src/records/records.ts'
import { ManualClock } from '../records/fixture.ts'

export const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`

export function person(
  password: string,
  more: { groups?: string[]; disabledMs?: number } = {},
): AccountValue {
  const salt = randomBytes(16)
  const options = { message: password, nonce: salt, parallelism: 1, tagLength: 32, memory: 8, passes: 1 }
  const hash = argon2Sync('argon2id', options)
  const parameters = { algorithm: 'argon2id', memoryKib: 8, passes: 1, lanes: 1, salt, hash } as const
  return { type: 'person', password: parameters, groups: [], ...more }
}

export function robot(secret: string, more: { expiresMs?: number; disabledMs?: number } = {}): AccountValue {
  return { type: 'robot', secret: hashSecret(secret), groups: [], ...more }
}

/** As much of a ledger as access looks at. */
export class TestAccounts {
  readonly clock = new ManualClock()
  readonly #accounts = new Map<string, AccountEntry>()
  readonly #listeners = new Set<(keys: ChangedKey[]) => void>()
  #access: AccessRule[] = []
  #hasPolicy = true
  #versions = 0
  lookUps = 0

  set(name: string, value: AccountValue | undefined): void {
    const version = `v${++this.#versions}`
    if (value === undefined) this.#accounts.delete(name)
    else this.#accounts.set(name, { name, value, version, writtenMs: 0, author: 'authority' })
    this.#tell({ kind: 'account', name, deleted: value === undefined })
  }

  setRules(access: AccessRule[]): void {
    this.#access = access
    this.#tell({ kind: 'policy' })
  }

  findAccount(name: string): AccountEntry | undefined {
    this.lookUps++
    return this.#accounts.get(name)
  }

  async listAccounts(): Promise<AccountEntry[]> {
    return [...this.#accounts.values()]
  }

  /** What a database that lost it has. */
  losePolicy(): void {
    this.#hasPolicy = false
    this.setRules([])
  }

  findPolicy(access: AccessRule[]): void {
    this.#hasPolicy = true
    this.setRules(access)
  }

  findRecord(): Uint8Array | undefined {
    return this.#hasPolicy ? new Uint8Array() : undefined
  }

  policy() {
    return { rules: [], immutable: [], sealers: [], banned: [], access: this.#access }
  }

  onChange(listener: (keys: ChangedKey[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #tell(key: ChangedKey): void {
    for (const listener of this.#listeners) listener([key])
  }
}

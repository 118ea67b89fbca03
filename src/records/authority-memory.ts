/** What a ledger remembers of the authority's keys: since when it follows which, and whom each let replace it. */
import type { Clock } from '../base/base.ts'
import type { Draft } from './draft.ts'
import type { PolicyValue } from './policy-schema.ts'
import type { SignedRecord } from './record.ts'
import { authorityAt, type Database } from './storage.ts'
import { type Handover, type Memory, sameGrant } from './succession.ts'

/** Within which of two handovers of one key the same one stands everywhere. */
export const settlesMs = 60 * 60_000
/**
 * A grant that was changed counts for so long after it, and a new one against another handover only once it is known for so
 * long: who has stolen the key cannot take away what others were granted, nor grant itself something in time.
 */
export const grantDelayMs = 7 * 24 * 60 * 60_000
const maxGrants = 64

interface Grant {
  /** Whose, in hex digits. */
  from: string
  /** In Base64, or '' where a policy had none. */
  grant: string
  sinceMs: number
  endedMs?: number
}

interface State {
  /** By the key that was handed over to, in hex digits. */
  followed: Record<string, number>
  grants: Grant[]
}

export class AuthorityMemory implements Memory {
  readonly #db: Database
  readonly #steady: Clock
  #state: State

  /** `policy` is the one that stands. */
  constructor(db: Database, steady: Clock, policy: SignedRecord | undefined) {
    this.#db = db
    this.#steady = steady
    this.#state = this.#read()
    // Of a ledger that was written before there was this memory.
    if (policy?.body.kind === 'policy') this.#state = this.#with(policy.envelope.author, policy.body.value)
  }

  isSettled({ to }: Handover): boolean {
    const sinceMs = this.#state.followed[hexOf(to)]
    return sinceMs !== undefined && this.#steady.now() - sinceMs >= settlesMs
  }

  grantsOf(from: Uint8Array, { isAgainstAnother }: { isAgainstAnother: boolean }): Uint8Array[] | undefined {
    const known = this.#state.grants.filter((one) => one.from === hexOf(from))
    if (known.length === 0) return undefined
    const now = this.#steady.now()
    return known
      .filter(({ sinceMs, grant, endedMs }) => {
        if (grant === '' || this.#isOver(endedMs)) return false
        return !isAgainstAnother || now - sinceMs >= grantDelayMs
      })
      .map(({ grant }) => new Uint8Array(Buffer.from(grant, 'base64')))
  }

  /** The policy is about to be the one that counts. `settled`: an operator said so, and nothing else takes its place. */
  learn(policy: SignedRecord, draft: Draft, { settled = false } = {}): void {
    if (policy.body.kind !== 'policy') return
    this.#state = this.#with(policy.envelope.author, policy.body.value, settled)
    draft.write(authorityAt, JSON.stringify(this.#state))
  }

  #with(author: Uint8Array, { handovers = [], recovery }: PolicyValue, settled = false): State {
    const now = this.#steady.now()
    const followed: State['followed'] = {}
    for (const { to } of handovers) {
      const name = hexOf(to)
      followed[name] = settled ? now - settlesMs : (this.#state.followed[name] ?? now)
    }
    return { followed, grants: this.#grantsWith(author, recovery, now) }
  }

  #grantsWith(author: Uint8Array, recovery: Uint8Array | undefined, now: number): Grant[] {
    const from = hexOf(author)
    const isOwn = (one: Grant): boolean => one.from === from && isSame(one.grant, recovery)
    const known = this.#state.grants.find(isOwn)
    const own = {
      from,
      grant: recovery === undefined ? '' : Buffer.from(recovery).toString('base64'),
      sinceMs: known?.sinceMs ?? now,
    }
    const others = this.#state.grants
      .filter((one) => !isOwn(one))
      .map((one) => (one.endedMs === undefined ? { ...one, endedMs: now } : one))
      // Of which keys there was a policy stays known: no grant of theirs is believed that comes later.
      .map((one) => (this.#isOver(one.endedMs) ? { ...one, grant: '' } : one))
      // Those that are known for longest, so that many new ones push out none.
      .sort((a, b) => a.sinceMs - b.sinceMs)
    const unique = new Map(others.map((one) => [`${one.from} ${one.grant}`, one]))
    return [own, ...[...unique.values()].slice(0, maxGrants)]
  }

  #isOver(endedMs: number | undefined): boolean {
    return endedMs !== undefined && this.#steady.now() - endedMs >= grantDelayMs
  }

  #read(): State {
    const empty: State = { followed: {}, grants: [] }
    try {
      const state: State = { ...empty, ...JSON.parse(this.#db.getSync(authorityAt) ?? '{}') }
      const now = this.#steady.now()
      // Of an earlier run whose clock was ahead: it would settle that much later.
      for (const [name, ms] of Object.entries(state.followed))
        state.followed[name] = Math.min(Number(ms), now)
      return state
    } catch (error) {
      // What the disk made of it says nothing: what is followed counts as followed from now on.
      if (error instanceof SyntaxError) return empty
      throw error
    }
  }
}

function isSame(grant: string, recovery: Uint8Array | undefined): boolean {
  if (grant === '' || recovery === undefined) return grant === '' && recovery === undefined
  return sameGrant(Buffer.from(grant, 'base64'), recovery)
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

/** What is asked of the accounts in a ledger. */
import { peerIdOf } from '../wire/wire.ts'
import type { AccountEntry } from './account.ts'
import type { Ledger } from './ledger-contract.ts'
import { authorOf, keyText, type SignedRecord } from './record.ts'
import type { Rules } from './rules.ts'
import { type Database, end, recordAt } from './storage.ts'
import type { StoredRecords } from './stored.ts'

const prefix = keyText({ kind: 'account', name: '' })

export function createAccountQueries(
  db: Database,
  records: StoredRecords,
  rules: () => Rules,
): Pick<Ledger, 'findAccount' | 'listAccounts'> {
  function entryOf(record: SignedRecord): AccountEntry | undefined {
    const { key, body, envelope } = record
    if (key.kind !== 'account' || body.kind !== 'account' || body.value === null) return undefined
    // What a policy excludes goes some time after that came; until then nobody may sign in by it.
    if (rules().standingRefusalOf(record) !== undefined) return undefined
    return {
      name: key.name,
      value: body.value,
      version: Buffer.from(envelope.hash).toString('hex'),
      writtenMs: body.time[0],
      author: peerIdOf(authorOf(record)),
    }
  }

  function findAccount(name: string): AccountEntry | undefined {
    const record = records.read(prefix + name)
    return record && entryOf(record)
  }

  return {
    findAccount,
    async listAccounts({ after = '', limit }) {
      const found: AccountEntry[] = []
      if (limit <= 0) return found
      for await (const entry of db.keys({ gt: recordAt(prefix + after), lt: recordAt(prefix + end) })) {
        const account = findAccount(entry.slice(recordAt(prefix).length))
        if (account !== undefined && found.push(account) >= limit) break
      }
      return found
    },
  }
}

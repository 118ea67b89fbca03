/** An account's record, signed away from any ledger: with an administrator's key that no node has. */
import { type Identity, MalformedError, peerIdOf } from '../wire/wire.ts'
import type { AccountEntry, AccountValue } from './account.ts'
import { authorOf, decodeRecord, signRecord } from './record.ts'
import { stamp } from './time.ts'

/** Later than `standing`, the record that it replaces, as a node gave it. Throws `MALFORMED` for what is no account's record. */
export function signAccount(
  {
    name,
    value,
    standing,
  }: { name: string; value: AccountValue | undefined; standing: Uint8Array | undefined },
  identity: Identity,
  nowMs: number,
): Uint8Array {
  const time = stamp(nowMs, standing === undefined ? undefined : decodeRecord(standing).body.time)
  return signRecord({ kind: 'account', key: name, time, value: value ?? null }, identity).envelope.bytes
}

/** `undefined` for one that was removed. As `readAccount` of a ledger, but for whether the policy lets its author write it. */
export function readAccount(record: Uint8Array): AccountEntry | undefined {
  const read = decodeRecord(record)
  const { key, body, envelope } = read
  if (key.kind !== 'account' || body.kind !== 'account') throw new MalformedError('the record is no account')
  if (body.value === null) return undefined
  return {
    name: key.name,
    value: body.value,
    version: Buffer.from(envelope.hash).toString('hex'),
    writtenMs: body.time[0],
    author: peerIdOf(authorOf(read)),
  }
}

/** Records signed away from any ledger: with an administrator's key that no node has. */
import { type Identity, MalformedError, peerIdOf } from '../wire/wire.ts'
import type { AccountEntry, AccountValue } from './account.ts'
import type { InvitationValue, MemberValue } from './membership.ts'
import { authorOf, decodeRecord, type RecordBody, signRecord } from './record.ts'
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
  return sign({ kind: 'account', key: name, value: value ?? null }, standing, identity, nowMs)
}

/** As `signAccount`, of what the cluster says of a member. */
export function signMember(
  { peer, value, standing }: { peer: string; value: MemberValue; standing: Uint8Array | undefined },
  identity: Identity,
  nowMs: number,
): Uint8Array {
  return sign({ kind: 'member', key: peer, value }, standing, identity, nowMs)
}

/** As `signAccount`, of an invitation. */
export function signInvitation(
  { id, value, standing }: { id: string; value: InvitationValue; standing: Uint8Array | undefined },
  identity: Identity,
  nowMs: number,
): Uint8Array {
  return sign({ kind: 'invitation', key: id, value }, standing, identity, nowMs)
}

/** What the record of an invitation says. Throws `MALFORMED`. */
export function readInvitation(record: Uint8Array): InvitationValue {
  const { body } = decodeRecord(record)
  if (body.kind !== 'invitation') throw new MalformedError('the record is no invitation')
  return body.value
}

type Said<K extends RecordBody['kind']> = Pick<Extract<RecordBody, { kind: K }>, 'kind' | 'key' | 'value'>

function sign(
  said: Said<'account'> | Said<'member'> | Said<'invitation'>,
  standing: Uint8Array | undefined,
  identity: Identity,
  nowMs: number,
): Uint8Array {
  const time = stamp(nowMs, standing === undefined ? undefined : decodeRecord(standing).body.time)
  return signRecord({ ...said, time }, identity).envelope.bytes
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

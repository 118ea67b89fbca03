/** Local writes: what the registry changes, stamped, permitted and signed. */
import { breather, type Clock } from '../base/base.ts'
import type { Identity } from '../wire/wire.ts'
import { NotPermittedError } from './errors.ts'
import { keyText, type RecordBody, type RecordKey, type SignedRecord, signRecord } from './record.ts'
import type { Change } from './records.ts'
import type { Rules } from './rules.ts'
import { isAhead, stamp, type Time, tick } from './time.ts'
import type { Write } from './write.ts'

interface PublishOptions {
  identity: Identity
  clock: Clock
  /** Whether the members agree with the clock, so that it is a record that is wrong about the time, and not this node. */
  isConfirmed(): boolean
}

/** Gathers the changes in `write`. Throws `NOT_PERMITTED` or `RECORD_TOO_LARGE`. */
export async function gatherChanges(
  write: Write,
  rules: Rules,
  changes: Change[],
  { identity, clock, isConfirmed }: PublishOptions,
): Promise<void> {
  const breathe = breather()
  for (const change of changes) {
    const key = keyOf(change, identity)
    const name = keyText(key)
    const standing = write.draft.find(name)
    const refusal = rules.refusal(identity.publicKey, key, { isDeletion: change.value === undefined })
    if (refusal !== undefined) throw new NotPermittedError(refusal)
    if (!rules.isAuthority(identity.publicKey) && isSettled(change, key, standing, rules)) continue
    const replaced = standing ?? write.draft.findBuried(name)
    const nowMs = clock.now()
    // Later than one from far ahead would be refused by everyone.
    const isWrong = replaced !== undefined && isAhead(replaced.body.time, nowMs) && isConfirmed()
    const time = timeOf(change, nowMs, isWrong ? undefined : replaced?.body.time)
    write.accept(signRecord(bodyOf(change, name.slice(1), time), identity), { own: true })
    await breathe()
  }
}

/** A tag that goes with its manifest goes as it was seen: it may have been pushed elsewhere since, to another manifest. */
function timeOf(change: Change, nowMs: number, replaced: Time | undefined): Time {
  const isTakenAlong = change.kind === 'tag' && change.isTakenAlong === true
  return isTakenAlong && replaced !== undefined ? tick(replaced) : stamp(nowMs, replaced)
}

/** True when an immutable tag already is what `change` asks for; throws `NOT_PERMITTED` when it is something else. */
function isSettled(
  change: Change,
  key: RecordKey,
  standing: SignedRecord | undefined,
  rules: Rules,
): boolean {
  const immutable = rules.immutable(key)
  if (immutable === undefined || standing === undefined) return false
  const { body, envelope } = standing
  if (body.kind !== 'tag' || change.kind !== 'tag') return false
  if (body.value === null) {
    const isAuthority = rules.isAuthority(envelope.author) || rules.wasAuthority(envelope.author)
    if (isAuthority && change.value !== undefined) {
      throw new NotPermittedError(`${immutable.rule}, and the cluster authority deleted ${change.tag}`)
    }
    return change.value === undefined
  }
  if (change.value?.digest === body.value.digest) return true
  const verb = change.value === undefined ? 'delete' : 'move'
  throw new NotPermittedError(`${immutable.rule}: only the cluster authority may ${verb} ${change.tag}`)
}

function keyOf(change: Change, { peerId: by }: Identity): RecordKey {
  if (change.kind === 'account') return { kind: 'account', name: change.name }
  if (change.kind === 'invitation') return { kind: 'invitation', id: change.id }
  if (change.kind === 'member') return { kind: 'member', peer: change.peer }
  if (change.kind === 'admission') {
    const { invitation, peer } = change
    return { kind: 'admission', invitation, peer, by }
  }
  const { kind, repository } = change
  return kind === 'tag' ? { kind, repository, tag: change.tag } : { kind, repository, digest: change.digest }
}

function bodyOf(change: Change, key: string, time: [number, number]): RecordBody {
  if (change.kind === 'account') return { kind: 'account', key, time, value: change.value ?? null }
  if (change.kind === 'invitation') return { kind: 'invitation', key, time, value: change.value }
  if (change.kind === 'member') return { kind: 'member', key, time, value: change.value }
  if (change.kind === 'admission') return { kind: 'admission', key, time, value: change.value }
  const by = change.by === undefined ? {} : { by: change.by }
  return change.kind === 'tag'
    ? { kind: 'tag', key, time, value: change.value ?? null, ...by }
    : { kind: 'manifest', key, time, value: change.value ?? null, ...by }
}

/** How the authority's node makes a policy the cluster's, without what stands going away by it. */
import type { Clock } from '../base/base.ts'
import type { Digest, Repository } from '../oci/oci.ts'
import { type Identity, peerIdOf } from '../wire/wire.ts'
import type { AuthorityMemory } from './authority-memory.ts'
import { type Policy, policyValue, recoveryOf } from './policy.ts'
import type { PolicyValue } from './policy-schema.ts'
import { authorOf, keyText, type SignedRecord, sameBytes, signRecord } from './record.ts'
import { isOfRoster } from './roster.ts'
import type { Rules } from './rules.ts'
import { policySeenAt } from './storage.ts'
import type { StoredRecords } from './stored.ts'
import { signGrant } from './succession.ts'
import { stamp } from './time.ts'
import type { Write } from './write.ts'
import type { Writer } from './writer.ts'

/** What an author that the policy bans had written goes away, but for the manifests that are kept. */
export interface Drop {
  /** A peer id. */
  author: string
  keeps(repository: Repository, digest: Digest): boolean
}

interface GovernOptions {
  records: StoredRecords
  writer: Writer
  authority: Identity
  memory: AuthorityMemory
  clock: Clock
  steady: Clock
  drop: Drop | undefined
  /** Peer ids. */
  present: string[]
}

const flushedAtOnce = 256

/** Signs again what the policy would exclude, seals what it makes immutable, and then signs the policy itself. */
export async function govern(
  write: Write,
  policy: Policy,
  { records, writer, authority, memory, clock, steady, drop, present }: GovernOptions,
): Promise<void> {
  const now = writer.rules
  const recovery = recoveryOf(policy)
  const value: PolicyValue = {
    ...policyValue(policy, now.value, clock.now(), present),
    ...(recovery === undefined ? {} : { recovery: signGrant(recovery, authority) }),
  }
  const next = await keepRoster(write, now.with(value), writer)
  for await (const record of records.scan()) {
    const goes = now.refusalOf(record) === undefined && next.refusalOf(record) !== undefined
    const instead =
      drop !== undefined && isDropped(record, drop)
        ? deletionOf(record, authority, clock.now())
        : (writer.sealOf(record, next) ?? (goes ? writer.adopt(record) : undefined))
    if (instead !== undefined) write.accept(instead, { own: true })
    // Copies that are stored before the policy are harmless, as the authority may always write.
    if (write.size >= flushedAtOnce) await write.flush({ sync: false })
  }
  const time = stamp(clock.now(), write.draft.find(keyText({ kind: 'policy' }))?.body.time)
  const record = signRecord({ kind: 'policy', key: '', time, value }, authority)
  write.draft.write(policySeenAt, String(steady.now()))
  memory.learn(record, write.draft)
  write.accept(record, { own: true })
}

/** Who was let in stays so, first of all: whether other records count goes by that. Returns the policy with the roster that it makes. */
async function keepRoster(write: Write, next: Rules, writer: Writer): Promise<Rules> {
  const now = writer.rules
  const among = (): Rules => next.among(writer.rosterUnder(next))
  const rules = among()
  for (const record of writer.rosterRecords()) {
    const goes = now.refusalOf(record) === undefined && rules.refusalOf(record) !== undefined
    if (goes) write.accept(writer.adopt(record), { own: true })
  }
  await write.flush({ sync: false })
  return among()
}

function isDropped(record: SignedRecord, { author, keeps }: Drop): boolean {
  const { key } = record
  if (key.kind === 'policy' || isOfRoster(key)) return false
  return (
    peerIdOf(authorOf(record)) === author && !(key.kind === 'manifest' && keeps(key.repository, key.digest))
  )
}

/** Of what the authority had signed again; the author's own records are swept, since it may not write any more. */
function deletionOf(
  { body, envelope }: SignedRecord,
  authority: Identity,
  nowMs: number,
): SignedRecord | undefined {
  if (body.value === null || body.kind === 'policy' || body.kind === 'invitation') return undefined
  if (body.kind === 'member' || body.kind === 'admission') return undefined
  // What an account was before may be with anybody, and would count again once this version of it does not.
  if (body.kind !== 'account' && !sameBytes(envelope.author, authority.publicKey)) return undefined
  return signRecord({ kind: body.kind, key: body.key, time: stamp(nowMs, body.time), value: null }, authority)
}

/**
 * How the authority goes over to another key. The policy that says so comes first, so that nothing signed by the key of before
 * is taken from then on; then what stood is signed again by the new one, from where it stands on all nodes. A node that was
 * stopped in between goes on where it was.
 */
import type { Clock } from '../base/base.ts'
import type { Identity, Verifier } from '../wire/wire.ts'
import type { AuthorityMemory } from './authority-memory.ts'
import { NotPermittedError } from './errors.ts'
import type { PolicyValue } from './policy-schema.ts'
import { keyText, type SignedRecord, sealRecord, signRecord } from './record.ts'
import { handingOverAt, policySeenAt } from './storage.ts'
import { type StoredRecords, verifyRecord } from './stored.ts'
import { type Handover, maxHandovers, readGrant, signGrant } from './succession.ts'
import { stamp } from './time.ts'
import type { Write } from './write.ts'
import type { Writer } from './writer.ts'

interface HandOverOptions {
  records: StoredRecords
  writer: Writer
  memory: AuthorityMemory
  verifier: Verifier
  clock: Clock
  steady: Clock
}

const flushedAtOnce = 256

/** The link is right, and goes on from the authority of now. */
export async function handOver(
  write: Write,
  link: Handover,
  to: Identity,
  { records, writer, memory, verifier, clock, steady }: HandOverOptions,
): Promise<void> {
  const { recovery, ...before } = writer.rules.value
  const handovers = [...(before.handovers ?? []), link]
  if (handovers.length > maxHandovers)
    throw new NotPermittedError(
      `the authority was handed over ${maxHandovers} times, which is all there can be`,
    )
  const value: PolicyValue = {
    ...before,
    handovers,
    ...(recovery === undefined ? {} : { recovery: signGrant(readGrant(recovery), to) }),
  }
  const time = stamp(clock.now(), write.draft.find(keyText({ kind: 'policy' }))?.body.time)
  const policy = signRecord({ kind: 'policy', key: '', time, value }, to)
  // What others signed for it may be wrong.
  await verifyRecord(policy, verifier)
  write.draft.write(policySeenAt, String(steady.now()))
  write.draft.write(handingOverAt, '1')
  memory.learn(policy, write.draft)
  write.accept(policy, { own: true })
  await write.flush({ sync: true })
  writer.use(to)
  await signAgain(write, to, { records, writer })
}

/** What the authority of before had signed and stands here. */
export async function signAgain(
  write: Write,
  authority: Identity,
  { records, writer }: Pick<HandOverOptions, 'records' | 'writer'>,
): Promise<void> {
  for await (const record of records.scan()) {
    if (record.key.kind === 'policy' || !writer.rules.wasAuthority(record.envelope.author)) continue
    write.accept(signedAgain(record, authority, writer), { own: true })
    if (write.size >= flushedAtOnce) await write.flush({ sync: false })
  }
  write.draft.write(handingOverAt, undefined)
}

function signedAgain(record: SignedRecord, authority: Identity, writer: Writer): SignedRecord {
  // A millisecond sooner, so that it stands above the seal of before.
  return record.sealed === undefined
    ? writer.adopt(record)
    : sealRecord(record, record.sealed.ms - 1, authority)
}

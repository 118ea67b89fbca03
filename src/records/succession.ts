/**
 * Who the authority is: the key that the token names, or the one to which that was handed over. Each policy carries the whole
 * chain of handovers from the token's key to the one that signed it, so that whoever has the policy follows, be it with a token
 * of before. A link is signed by the key that it takes the authority from, or, where that was lost, by as many keys as that
 * one's *grant* asks for: the authority signs beforehand who may replace it together.
 *
 * Of two chains that go on from the same key (handed over twice) one has to stand. No order of what that key signs can settle
 * it for good: whoever has the old key signs another link whenever it likes, backdated where the earliest counts; and where
 * no later one can win, two honest handovers on two sides of a partition never meet. So both count, one after the other:
 *
 * - a replacement by a grant that this node has known for a week stands above a handover by the key itself;
 * - for an hour after a node followed a link the earlier one stands, then the one to the lower key, on all nodes alike;
 * - after that the node stays with what it followed. What the old key signs later reaches nobody who knew.
 *
 * So a cluster that is connected agrees, and a key that was stolen has an hour after the handover and those who have not heard
 * of it. Two sides that were apart for longer, each with a handover of its own, stay apart, say so, and an operator decides.
 * test/records/succession-model.test.ts explores this.
 */
import {
  bytes,
  codec,
  createVerifier,
  type Identity,
  type Infer,
  list,
  MalformedError,
  optional,
  seal,
  struct,
  uint,
  unseal,
} from '../wire/wire.ts'

export const maxHandovers = 64
export const maxRecoveryKeys = 9

const maxTimeMs = 8_640_000_000_000_000
const key = bytes({ length: 32 })
const signatureBytes = 64
export const maxGrantBytes = 512

export const handoverSchema = struct({
  from: key,
  to: key,
  at: uint({ max: maxTimeMs }),
  /** Of `from`, where others sign in its place. */
  grant: optional(bytes({ max: maxGrantBytes })),
  /** A key and its signature each. */
  signatures: list(bytes({ length: 32 + signatureBytes }), { max: maxRecoveryKeys }),
})

export type Handover = Infer<typeof handoverSchema>
export type Statement = Pick<Handover, 'from' | 'to' | 'at'>

/** Who may replace a lost authority: `need` of `keys` together. */
export interface Recovery {
  /** Public keys. */
  keys: Uint8Array[]
  need: number
}

const statementCodec = codec(struct({ from: key, to: key, at: uint({ max: maxTimeMs }) }), { maxBytes: 256 })
const grantCodec = codec(
  struct({
    keys: list(key, { max: maxRecoveryKeys }),
    need: uint({ max: maxRecoveryKeys }),
  }),
  { maxBytes: maxGrantBytes },
)

const domains = { handover: 'shoal handover 1\0', recovery: 'shoal recovery 1\0', grant: 'shoal grant 1\0' }
const verifiers = {
  handover: createVerifier(domains.handover, { maxRemembered: 256 }),
  recovery: createVerifier(domains.recovery, { maxRemembered: 1024 }),
  grant: createVerifier(domains.grant, { maxRemembered: 256 }),
}

export function signHandover(from: Identity, to: Uint8Array, at: number): Handover {
  const statement = { from: from.publicKey, to, at: Math.floor(at) }
  return { ...statement, signatures: [signatureOf(domains.handover, statement, from)] }
}

/** What one of a grant's keys adds to a replacement. */
export function approve(statement: Statement, identity: Identity): Uint8Array {
  return signatureOf(domains.recovery, statement, identity)
}

function signatureOf(domain: string, { from, to, at }: Statement, identity: Identity): Uint8Array {
  return seal(domain, statementCodec.encode({ from, to, at }), identity).slice(0, 32 + signatureBytes)
}

/** Throws `MALFORMED` for a set that no signatures could satisfy, or one that a single key twice could. */
export function signGrant({ keys, need }: Recovery, authority: Identity): Uint8Array {
  if (need < 1 || need > keys.length)
    throw new MalformedError(
      `recovery.need: ${need} of ${keys.length} keys cannot be; give 1 to ${keys.length}`,
    )
  if (new Set(keys.map(hexOf)).size !== keys.length)
    throw new MalformedError('recovery.keys: a key is named twice')
  return seal(domains.grant, grantCodec.encode({ keys, need }), authority)
}

/** Without judging its signature. Throws `MALFORMED`. */
export function readGrant(grant: Uint8Array): Recovery & { author: Uint8Array } {
  const { author, body } = unseal(grant)
  const { keys, need } = grantCodec.decode(body)
  if (need < 1 || need > keys.length || new Set(keys.map(hexOf)).size !== keys.length)
    throw new MalformedError('a grant that no keys can satisfy')
  return { author, keys, need }
}

/** What needs no signature: that each goes on from the one before, and by whom it claims to be signed. Throws `MALFORMED`. */
export function checkChain(handovers: Handover[], author: Uint8Array): void {
  let from: Uint8Array | undefined
  const before = new Set<string>()
  for (const link of handovers) {
    before.add(hexOf(link.from))
    if (from !== undefined && !same(link.from, from))
      throw new MalformedError('a handover by another key than the one before was to')
    if (before.has(hexOf(link.to)))
      throw new MalformedError('a handover to a key that was the authority before')
    checkSigners(link)
    from = link.to
  }
  if (from !== undefined && !same(from, author))
    throw new MalformedError('a policy by another key than the authority was handed over to')
}

function checkSigners({ from, grant, signatures }: Handover): void {
  const signers = signatures.map((signature) => signature.subarray(0, 32))
  if (grant === undefined) {
    const [signer, ...more] = signers
    if (signer === undefined || more.length > 0 || !same(signer, from))
      throw new MalformedError('a handover that another key signed than the one that hands over')
    return
  }
  const { author, keys, need } = readGrant(grant)
  if (!same(author, from)) throw new MalformedError('a replacement by a grant of another authority')
  const allowed = new Set(keys.map(hexOf))
  const distinct = new Set(signers.map(hexOf))
  if (distinct.size !== signers.length || !distinct.isSubsetOf(allowed) || distinct.size < need)
    throw new MalformedError(`a replacement by ${distinct.size} keys where ${need} of the grant are needed`)
}

/** What a policy holds beside its own signature, in order, so that who cannot sign the first costs one. Throws `BAD_SIGNATURE`. */
export async function verifyPolicy(policy: { handovers?: Handover[]; recovery?: Uint8Array }): Promise<void> {
  for (const { grant, signatures, ...statement } of policy.handovers ?? []) {
    const body = statementCodec.encode(statement)
    const verifier = grant === undefined ? verifiers.handover : verifiers.recovery
    if (grant !== undefined) await verifiers.grant.verify(unseal(grant))
    for (const signature of signatures)
      await verifier.verify(unseal(new Uint8Array(Buffer.concat([signature, body]))))
  }
  if (policy.recovery !== undefined) await verifiers.grant.verify(unseal(policy.recovery))
}

/** What a node remembers of the authority's keys, which no record can tell it (authority-memory.ts). */
export interface Memory {
  /** Whether it has followed that link of its chain for so long that no other of the same key takes its place. */
  isSettled(link: Handover): boolean
  /**
   * The grants of that key that count, for a chain that only goes on or against another link that is followed; `undefined` where
   * it never had a policy of that key.
   */
  grantsOf(from: Uint8Array, options: { isAgainstAnother: boolean }): Uint8Array[] | undefined
}

export interface ChainVerdict {
  stands: 'candidate' | 'standing' | 'equal'
  /** Where the two go on from the same key to different ones. */
  divergesAt?: number
}

/** Which of two whole chains of one root a node follows. */
export function judgeChains(candidate: Handover[], standing: Handover[], memory: Memory): ChainVerdict {
  const index = candidate.findIndex((link, at) => {
    const other = standing[at]
    return other === undefined || !same(link.to, other.to)
  })
  const [link, other] = [candidate[index], standing[index]]
  if (link === undefined) return { stands: candidate.length === standing.length ? 'equal' : 'standing' }
  const mayCount = candidate
    .slice(index)
    .every((next) => isGranted(next, memory, next === link && other !== undefined))
  if (other === undefined) return { stands: mayCount ? 'candidate' : 'standing' }
  const wins = mayCount && outranks(link, other, memory.isSettled(other))
  return { stands: wins ? 'candidate' : 'standing', divergesAt: index }
}

/** Whoever never knew that key has to believe it, but not against a link that it follows. */
function isGranted({ from, grant }: Handover, memory: Memory, isAgainstAnother: boolean): boolean {
  if (grant === undefined) return true
  const known = memory.grantsOf(from, { isAgainstAnother })
  return known === undefined ? !isAgainstAnother : known.some((one) => sameGrant(one, grant))
}

function outranks(link: Handover, other: Handover, isSettled: boolean): boolean {
  const isReplacement = link.grant !== undefined
  if (isReplacement !== (other.grant !== undefined)) return isReplacement
  return !isSettled && (link.at - other.at || Buffer.compare(link.to, other.to)) < 0
}

export function sameGrant(a: Uint8Array, b: Uint8Array): boolean {
  const [one, two] = [readGrant(a), readGrant(b)]
  return one.need === two.need && same(one.author, two.author) && setOf(one) === setOf(two)
}

function setOf({ keys }: Recovery): string {
  return keys.map(hexOf).sort().join()
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

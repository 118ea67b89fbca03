/**
 * A record: one signed statement about one key, as deterministic CBOR in a signed envelope.
 *
 *     { kind, key, time: [ms, counter], value | null, ?origin, ?by }
 *     { kind: 'seal', ms, record }
 *
 * The key of a tag is `repository:tag`, of a manifest `repository@digest`, of an account its name, of an invitation its id, of a member
 * its peer id, of an admission `invitation/peer/author`, and empty for the one policy.
 * A null value is a tombstone. `origin` names the author of a record that the authority signed again in its place, `by` the account for which a tag or a manifest was written. A seal is another's
 * record of a live tag, whole, signed by who saw it at `ms`: it is the record of that tag as well (see order.ts).
 */
import {
  type Digest,
  maxAbsent,
  parseDigest,
  parseRepository,
  parseTag,
  type Repository,
  type Tag,
} from '../oci/oci.ts'
import {
  bytes,
  codec,
  dictionary,
  digestText,
  type Envelope,
  envelopeOverhead,
  type Identity,
  type Infer,
  list,
  literal,
  MalformedError,
  nullable,
  optional,
  parsePeerId,
  peerIdOf,
  seal,
  struct,
  TooLargeError,
  text,
  uint,
  unseal,
  variant,
} from '../wire/wire.ts'
import { accountValue, isAccountName, isRobotName } from './account.ts'
import { RecordTooLargeError } from './errors.ts'
import {
  admissionValue,
  invitationId,
  invitationValue,
  isInvitationId,
  memberValue,
  readProof,
} from './membership.ts'
import { policySchema } from './policy-schema.ts'
import { checkChain, readGrant } from './succession.ts'
import { timeSchema } from './time.ts'

export const recordDomain = 'shoal-record-v1\0'
/** The whole envelope. */
export const maxRecordBytes = 64 * 1024

const mediaType = text({ max: 255 })

/** More than the record of any tag. */
const maxSealedBytes = 2048

/** The last moment that a Date can name. */
const maxTimeMs = 8_640_000_000_000_000

const tagValue = struct({
  digest: digestText,
  mediaType,
  size: uint(),
  checkedMs: optional(uint({ max: maxTimeMs })),
  home: optional(digestText),
})
const manifestValue = struct({
  mediaType,
  size: uint(),
  subject: optional(digestText),
  artifactType: optional(text({ max: 255 })),
  annotations: optional(dictionary(text({ max: 4096 }), text({ max: maxRecordBytes }), { max: 1024 })),
  absent: optional(list(digestText, { max: maxAbsent })),
})

const common = { key: text({ max: 512 }), time: timeSchema, origin: optional(bytes({ length: 32 })) }
/** In the name of which account its author wrote it, by the author's word. */
const by = optional(text({ max: 72 }))
const bodySchema = variant('kind', {
  tag: struct({ kind: literal('tag'), value: nullable(tagValue), by, ...common }),
  manifest: struct({ kind: literal('manifest'), value: nullable(manifestValue), by, ...common }),
  policy: struct({ kind: literal('policy'), value: policySchema, ...common }),
  account: struct({ kind: literal('account'), value: nullable(accountValue), ...common }),
  invitation: struct({ kind: literal('invitation'), value: invitationValue, ...common }),
  member: struct({ kind: literal('member'), value: memberValue, ...common }),
  admission: struct({ kind: literal('admission'), value: admissionValue, ...common }),
  seal: struct({
    kind: literal('seal'),
    ms: uint({ max: maxTimeMs }),
    record: bytes({ max: maxSealedBytes }),
  }),
})
const bodyCodec = codec(bodySchema, { maxBytes: maxRecordBytes - envelopeOverhead })

type AnyBody = Infer<typeof bodySchema>
export type RecordBody = Exclude<AnyBody, { kind: 'seal' }>

/** What a record is about. */
export type RecordKey =
  | { kind: 'tag'; repository: Repository; tag: Tag }
  | { kind: 'manifest'; repository: Repository; digest: Digest }
  | { kind: 'account'; name: string }
  | RosterKey
  | { kind: 'policy' }

/** Of what a roster is made (roster.ts). */
export type RosterKey =
  | { kind: 'invitation'; id: string }
  | { kind: 'member'; peer: string }
  /** By whose word: of each member there is another, so that none undoes what another says. */
  | { kind: 'admission'; invitation: string; peer: string; by: string }

export interface SignedRecord {
  key: RecordKey
  /** Of a seal, what it seals. */
  body: RecordBody
  envelope: Envelope
  /** Present in a seal: when it was signed, and what. */
  sealed?: { ms: number; original: SignedRecord }
}

/** Who wrote it, whoever signed it again. */
export function authorOf({ body, envelope, sealed }: SignedRecord): Uint8Array {
  return body.origin ?? (sealed?.original.envelope ?? envelope).author
}

/** The text that orders and stores a key: unique to it, and free of zero bytes. */
export function keyText(key: RecordKey): string {
  return letters[key.kind] + keyBody(key)
}

/** By which the texts of keys begin, a letter for each kind. */
const letters = {
  tag: 't',
  manifest: 'm',
  account: 'a',
  policy: 'p',
  invitation: 'i',
  member: 'n',
  admission: 'j',
} as const

function keyBody(key: RecordKey): string {
  if (key.kind === 'tag') return `${key.repository}:${key.tag}`
  if (key.kind === 'manifest') return `${key.repository}@${key.digest}`
  if (key.kind === 'account') return key.name
  if (key.kind === 'invitation') return key.id
  if (key.kind === 'member') return key.peer
  return key.kind === 'admission' ? `${key.invitation}/${key.peer}/${key.by}` : ''
}

/** Throws `MALFORMED`, and `RECORD_TOO_LARGE`. */
export function signRecord(body: RecordBody, identity: Identity): SignedRecord {
  const encoded = encodeBody(body)
  // Reading back what was written keeps this node from publishing what every other node would refuse.
  return decodeRecord(seal(recordDomain, encoded, identity))
}

/** Seals another's record of a live tag, or seals anew what another sealed. */
export function sealRecord(record: SignedRecord, ms: number, identity: Identity): SignedRecord {
  const { envelope } = record.sealed?.original ?? record
  const body = encodeBody({ kind: 'seal', ms: Math.max(0, Math.floor(ms)), record: envelope.bytes })
  return decodeRecord(seal(recordDomain, body, identity))
}

function encodeBody(body: AnyBody): Uint8Array {
  try {
    return bodyCodec.encode(body)
  } catch (cause) {
    if (!(cause instanceof TooLargeError)) throw cause
    throw new RecordTooLargeError(cause.bytes + envelopeOverhead, maxRecordBytes)
  }
}

/** Everything but the signature and whether the author may. Throws `MALFORMED`. */
export function decodeRecord(bytes: Uint8Array): SignedRecord {
  if (bytes.length > maxRecordBytes) throw new MalformedError(`a record of ${bytes.length} bytes`)
  const envelope = unseal(bytes)
  const body = bodyCodec.decode(envelope.body)
  if (body.kind !== 'seal') return { key: keyOf(body), body: fitting(body, envelope.author), envelope }
  const original = decodeSealed(body.record)
  return { ...original, envelope, sealed: { ms: body.ms, original } }
}

function decodeSealed(bytes: Uint8Array): SignedRecord {
  const envelope = unseal(bytes)
  const body = bodyCodec.decode(envelope.body)
  if (body.kind !== 'tag' || body.value === null || body.origin !== undefined) {
    throw new MalformedError("a seal of what is not an author's own record of a live tag")
  }
  return { key: keyOf(body), body, envelope }
}

/**
 * A robot's name belongs to a robot, and to nobody else; a policy to the authority that its handovers led to; an invitation's id
 * to its key, a proof to who came by it, and an admission to who let it in.
 */
function fitting(body: RecordBody, author: Uint8Array): RecordBody {
  if (body.kind === 'policy') {
    const { handovers = [], recovery } = body.value
    checkChain(handovers, author)
    if (recovery !== undefined && !sameBytes(readGrant(recovery).author, author))
      throw new MalformedError('a policy with a grant of another authority')
  }
  if (body.kind === 'invitation' && invitationId(body.value.key) !== body.key)
    throw new MalformedError('an invitation whose id is not that of its key')
  if (body.kind === 'admission') {
    const { invitation, peer } = readProof(body.value.proof)
    if (`${invitation}/${peer}/${peerIdOf(body.origin ?? author)}` !== body.key)
      throw new MalformedError("an admission with a proof that is about something else, or in another's name")
  }
  if (
    body.kind === 'account' &&
    body.value !== null &&
    isRobotName(body.key) !== (body.value.type === 'robot')
  )
    throw new MalformedError(`an account of another type than its name says`)
  return body
}

function keyOf({ kind, key }: RecordBody): RecordKey {
  return parseKeyText(letters[kind] + key)
}

/** What a record is about, for whoever is to choose among records before a ledger judges them. Throws `MALFORMED`. */
export function readRecordKey(bytes: Uint8Array): RecordKey {
  return decodeRecord(bytes).key
}

/** Who signed it, as a peer id. Throws `MALFORMED`. */
export function readRecordAuthor(bytes: Uint8Array): string {
  return peerIdOf(unseal(bytes).author)
}

/** When, by its signer's clock. Throws `MALFORMED`. */
export function readRecordTimeMs(bytes: Uint8Array): number {
  return decodeRecord(bytes).body.time[0]
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** The inverse of `keyText`. Throws `MALFORMED`. */
export function parseKeyText(text: string): RecordKey {
  const rest = text.slice(1)
  try {
    if (text.startsWith('t')) {
      const [repository, tag] = halves(rest, ':')
      return { kind: 'tag', repository: parseRepository(repository), tag: parseTag(tag) }
    }
    if (text.startsWith('m')) {
      const [repository, digest] = halves(rest, '@')
      return { kind: 'manifest', repository: parseRepository(repository), digest: parseDigest(digest) }
    }
  } catch (cause) {
    throw new MalformedError('the key does not name a tag or a manifest', { cause })
  }
  if (text.startsWith('a') && isAccountName(rest)) return { kind: 'account', name: rest }
  if (text.startsWith('i') && isInvitationId(rest)) return { kind: 'invitation', id: rest }
  if (text.startsWith('n')) return { kind: 'member', peer: parsePeer(rest) }
  if (text.startsWith('j')) {
    const [invitation, peers] = halves(rest, '/')
    const [peer, by] = halves(peers, '/')
    if (isInvitationId(invitation))
      return { kind: 'admission', invitation, peer: parsePeer(peer), by: parsePeer(by) }
  }
  if (text !== 'p') throw new MalformedError('the key is of no known kind')
  return { kind: 'policy' }
}

function parsePeer(text: string): string {
  parsePeerId(text)
  return text
}

function halves(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

/** Records, and what is written in them: keys, policies, the peer ids of authors. */
import { parseDigest } from '../../../src/oci/oci.ts'
import { invitationId, proveInvitation, readProof, verifyProof } from '../../../src/records/membership.ts'
import { openPolicy, policyText, policyValue } from '../../../src/records/policy.ts'
import {
  decodeRecord,
  keyText,
  parseKeyText,
  type RecordBody,
  sealRecord,
  signRecord,
} from '../../../src/records/record.ts'
import { approve, signGrant, signHandover, verifyPolicy } from '../../../src/records/succession.ts'
import { identityFromSeed, parsePeerId, peerIdOf } from '../../../src/wire/wire.ts'
import { ascii, type Decoder, latin1, mustBe, refusing, refusingLater, type Target } from '../target.ts'

const identity = identityFromSeed(new Uint8Array(32).fill(7))
const root = identityFromSeed(new Uint8Array(32).fill(8))
const digest = parseDigest(`sha256:${'ab'.repeat(32)}`)
const policy = policyValue(
  {
    rules: [{ repositories: 'team/**', authors: [identity.peerId] }],
    immutable: [{ repositories: '**', tags: 'v*' }],
    banned: [identity.peerId],
    sealers: [identity.peerId],
    administrators: [identity.peerId],
    access: [{ repositories: 'team/**', who: ['user:ann', 'anonymous'], may: ['pull', 'delete'] }],
  },
  openPolicy,
  5,
)
const recovery = { keys: [root.publicKey, identity.publicKey], need: 1 }
const replaced = { from: root.publicKey, to: identity.publicKey, at: 5 }
/** Handed over, replaced by others, and with who may replace it next: each to the key that signs it here. */
const governed = [
  { ...policy, handovers: [signHandover(root, identity.publicKey, 5)] },
  {
    ...policy,
    handovers: [{ ...replaced, grant: signGrant(recovery, root), signatures: [approve(replaced, identity)] }],
    recovery: signGrant(recovery, identity),
  },
  { ...policy, members: { since: 5, founders: [identity.publicKey] } },
]
const invitation = invitationId(identity.publicKey)
const proof = proveInvitation(root.peerId, identity)
const mediaType = 'application/vnd.oci.image.manifest.v1+json'
const bodies: RecordBody[] = [
  { kind: 'tag', key: 'team/app:1', time: [1, 2], value: { digest, mediaType, size: 3 } },
  { kind: 'tag', key: 'team/app:1', time: [1, 2], value: null },
  {
    kind: 'manifest',
    key: `team/app@${digest}`,
    time: [5, 0],
    value: { mediaType, size: 3, subject: digest, annotations: { ['__proto__']: 'x', a: 'b' } },
  },
  { kind: 'policy', key: '', time: [5, 0], value: policy },
  {
    kind: 'account',
    key: 'ann',
    time: [5, 0],
    value: {
      type: 'person',
      password: {
        algorithm: 'argon2id',
        memoryKib: 19_456,
        passes: 2,
        lanes: 1,
        salt: new Uint8Array(16),
        hash: new Uint8Array(32),
      },
      groups: ['ci'],
      disabledMs: 5,
    },
  },
  {
    kind: 'account',
    key: 'robot$deploy',
    time: [5, 0],
    value: { type: 'robot', secret: new Uint8Array(32), expiresMs: 9, note: 'CI', groups: [] },
  },
  ...governed.map((value) => ({ kind: 'policy' as const, key: '', time: [5, 0] as [number, number], value })),
  {
    kind: 'invitation',
    key: invitation,
    time: [5, 0],
    value: { key: identity.publicKey, uses: 3, expiresMs: 9, revokedMs: 8, approvedMs: 5, site: 'berlin' },
  },
  { kind: 'member', key: root.peerId, time: [5, 0], value: { approvedMs: 5, goneMs: 6, name: 'a' } },
  {
    kind: 'admission',
    key: `${invitation}/${root.peerId}/${identity.peerId}`,
    time: [5, 0],
    value: { proof, name: 'a' },
  },
]
/** Author and signature, which are not judged here. */
const sealBytes = 96

const signed: Decoder = {
  seeds: [
    ...bodies.map((body) => signRecord(body, identity)),
    ...bodies.slice(0, 1).map((body) => sealRecord(signRecord(body, root), 7, identity)),
  ].map(({ envelope }) => envelope.bytes),
  async check(bytes) {
    const record = refusing(['MALFORMED'], () => decodeRecord(bytes))
    if (record === undefined) return
    const { body, envelope, sealed } = record
    const isOfAuthority =
      body.kind === 'policy' && (body.value.handovers ?? body.value.recovery) !== undefined
    if (body.kind === 'policy') {
      await refusingLater(['MALFORMED', 'BAD_SIGNATURE'], () => verifyPolicy(body.value))
      mustBe(isSamePolicy(body.value), 'a policy that is another one as text')
    }
    // Such a one is right by the key that its chain led to alone, and nobody has another's.
    if (isOfAuthority && Buffer.compare(envelope.author, identity.publicKey) !== 0) return
    const again = sealed === undefined ? signRecord(body, identity) : sealRecord(record, sealed.ms, identity)
    mustBe(
      Buffer.compare(again.envelope.bytes.subarray(sealBytes), bytes.subarray(sealBytes)) === 0,
      'a record with two encodings',
    )
    mustBe(
      keyText(record.key) === keyText(again.key),
      'a record about something else when it is signed again',
    )
  },
}

/** But for `recovery`, which the authority signs apart. */
function isSamePolicy(value: typeof policy): boolean {
  const { recovery: _, ...text } = policyText(value)
  const again = refusing(['MALFORMED'], () => policyValue(text, value, 0))
  return again === undefined || JSON.stringify(policyText(again)) === JSON.stringify(text)
}

/** What a newcomer shows of its invitation. */
const proofs: Decoder = {
  seeds: [proof, proof.subarray(0, 96)],
  async check(bytes) {
    const read = refusing(['MALFORMED'], () => readProof(bytes))
    if (read === undefined) return
    const isRight = await refusingLater(['BAD_SIGNATURE'], async () => {
      await verifyProof(bytes)
      return true
    })
    const known = [identity, root].find(({ publicKey }) => invitationId(publicKey) === read.invitation)
    if (isRight === undefined || known === undefined) return
    mustBe(
      Buffer.compare(proveInvitation(read.peer, known), bytes) === 0,
      'a proof with two encodings, or one that nobody signed',
    )
  },
}

const keys: Decoder = {
  seeds: ascii(
    ...['tteam/app:1', `mteam/app@${digest}`, 'p', 'ta:b:c', 'aann', 'arobot$deploy'],
    ...[`i${invitation}`, `n${root.peerId}`, `j${invitation}/${root.peerId}`],
  ),
  check(bytes) {
    const text = latin1(bytes)
    const key = refusing(['MALFORMED'], () => parseKeyText(text))
    if (key !== undefined) mustBe(keyText(key) === text, 'a key with two texts')
  },
}

const peerIds: Decoder = {
  seeds: ascii(identity.peerId, `1${'z'.repeat(51)}`),
  check(bytes) {
    const text = latin1(bytes)
    const key = refusing(['MALFORMED'], () => parsePeerId(text))
    if (key !== undefined) mustBe(peerIdOf(key) === text && key.length === 32, 'a key with two peer ids')
  },
}

export const records: Target = { decoders: { signed, keys, peerIds, proofs } }

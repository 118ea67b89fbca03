/** Records, and what is written in them: keys, policies, the peer ids of authors. */
import { parseDigest } from '../../../src/oci/oci.ts'
import { openPolicy, policyText, policyValue } from '../../../src/records/policy.ts'
import {
  decodeRecord,
  keyText,
  parseKeyText,
  type RecordBody,
  signRecord,
} from '../../../src/records/record.ts'
import { identityFromSeed, parsePeerId, peerIdOf } from '../../../src/wire/wire.ts'
import { ascii, type Decoder, latin1, mustBe, refusing, type Target } from '../target.ts'

const identity = identityFromSeed(new Uint8Array(32).fill(7))
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
]
/** Author and signature, which are not judged here. */
const sealBytes = 96

const signed: Decoder = {
  seeds: bodies.map((body) => signRecord(body, identity).envelope.bytes),
  check(bytes) {
    const record = refusing(['MALFORMED'], () => decodeRecord(bytes))
    if (record === undefined) return
    const again = signRecord(record.body, identity)
    mustBe(
      Buffer.compare(again.envelope.bytes.subarray(sealBytes), bytes.subarray(sealBytes)) === 0,
      'a record with two encodings',
    )
    mustBe(
      keyText(record.key) === keyText(again.key),
      'a record about something else when it is signed again',
    )
    const { body } = record
    if (body.kind === 'policy') mustBe(isSamePolicy(body.value), 'a policy that is another one as text')
  },
}

function isSamePolicy(value: typeof policy): boolean {
  const text = policyText(value)
  const again = refusing(['MALFORMED'], () => policyValue(text, value, 0))
  return again === undefined || JSON.stringify(policyText(again)) === JSON.stringify(text)
}

const keys: Decoder = {
  seeds: ascii('tteam/app:1', `mteam/app@${digest}`, 'p', 'ta:b:c', 'aann', 'arobot$deploy'),
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

export const records: Target = { decoders: { signed, keys, peerIds } }

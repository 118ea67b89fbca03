/**
 * A rotation of the cluster's secret: signed by the authority, so that no member can make one, and handed from member to
 * member. It names those who were members then: who comes later with the old secret is not given the new one.
 */
import {
  BadSignatureError,
  bytes,
  codec,
  createVerifier,
  type Identity,
  list,
  MalformedError,
  parsePeerId,
  peerIdOf,
  seal,
  struct,
  uint,
  unseal,
} from '../../wire/wire.ts'

export interface Rotation {
  /** How many rotations there were with this one: a later secret has a higher number. */
  generation: number
  secret: Uint8Array
  /** When the secret of before ends, in milliseconds since the epoch. */
  untilMs: number
  /** Peer ids. */
  members: string[]
}

export const maxRotationMembers = 1024
export const maxRotationBytes = 64 * 1024

const domain = 'shoal rotation 1\0'
/** What is signed. */
export const rotationContent = codec(
  struct({
    generation: uint(),
    members: list(bytes({ length: 32 }), { max: maxRotationMembers }),
    secret: bytes({ length: 32 }),
    until: uint(),
  }),
  { maxBytes: maxRotationBytes },
)
const verifier = createVerifier(domain, { maxRemembered: 64 })

export function signRotation(rotation: Rotation, authority: Identity): Uint8Array {
  const { generation, secret, untilMs, members } = rotation
  const body = rotationContent.encode({
    generation,
    members: members.map(parsePeerId),
    secret,
    until: untilMs,
  })
  return seal(domain, body, authority)
}

/** Throws MalformedError for what is none, or not signed by the authority. */
export async function readRotation(
  signed: Uint8Array,
  isAuthority: (publicKey: Uint8Array) => boolean,
): Promise<Rotation> {
  const envelope = unseal(signed)
  if (!isAuthority(envelope.author))
    throw new MalformedError('a rotation that the authority of this cluster did not sign')
  try {
    await verifier.verify(envelope)
  } catch (cause) {
    if (!(cause instanceof BadSignatureError)) throw cause
    throw new MalformedError('a rotation whose signature is wrong', { cause })
  }
  const { generation, members, secret, until } = rotationContent.decode(envelope.body)
  return { generation, secret, untilMs: until, members: members.map(peerIdOf) }
}

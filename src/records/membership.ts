/**
 * Who belongs to the cluster, as it stands in records. An *invitation* is a key pair of which its record has the public half, and
 * what a newcomer was given the private one. A *member* is what the authority or an administrator says of a node. An *admission*
 * is a member's word that a node came with an invitation, with the proof that it did: nobody can make one up without its key.
 *
 * None of them is ever deleted: whom an invitation let in goes on to count after it was revoked.
 */
import { hash } from 'node:crypto'
import {
  bytes,
  createVerifier,
  type Identity,
  type Infer,
  MalformedError,
  optional,
  parsePeerId,
  peerIdOf,
  seal,
  struct,
  text,
  uint,
  unseal,
} from '../wire/wire.ts'

/** The last moment that a Date can name. */
const maxTimeMs = 8_640_000_000_000_000
const moment = uint({ max: maxTimeMs })
const label = optional(text({ max: 64 }))

export const maxUses = 1024

export const invitationValue = struct({
  /** The public key, of which the invitation's id is made. */
  key: bytes({ length: 32 }),
  uses: uint({ max: maxUses }),
  expiresMs: moment,
  revokedMs: optional(moment),
  /** Who comes with it needs no approval. */
  approvedMs: optional(moment),
  /** What those who come are expected to say of where they are. */
  site: label,
})

export const memberValue = struct({
  approvedMs: optional(moment),
  /** Since when it is held to be gone for good. */
  goneMs: optional(moment),
  name: label,
})

const proofBytes = 32 + 64 + 32
export const admissionValue = struct({
  /** The newcomer's public key, signed by the invitation's. */
  proof: bytes({ length: proofBytes }),
  name: label,
  site: label,
})

export type InvitationValue = Infer<typeof invitationValue>
export type MemberValue = Infer<typeof memberValue>
export type AdmissionValue = Infer<typeof admissionValue>

const proofDomain = 'shoal invitation 1\0'
const verifier = createVerifier(proofDomain, { maxRemembered: 1024 })
const idPattern = /^[0-9a-f]{32}$/

export function invitationId(publicKey: Uint8Array): string {
  return hash('sha256', publicKey, 'hex').slice(0, 32)
}

export function isInvitationId(text: string): boolean {
  return idPattern.test(text)
}

/** That whoever has the invitation's key means this peer by it. */
export function proveInvitation(peer: string, invitation: Identity): Uint8Array {
  return seal(proofDomain, parsePeerId(peer), invitation)
}

/** What a proof says, before anybody looked at its signature. Throws `MALFORMED`. */
export function readProof(proof: Uint8Array): { invitation: string; peer: string } {
  const { author, body } = unseal(proof)
  if (body.length !== 32) throw new MalformedError('a proof of an invitation that names no peer')
  return { invitation: invitationId(author), peer: peerIdOf(body) }
}

/** Throws `MALFORMED`, and `BAD_SIGNATURE` where the invitation's key did not sign it. */
export async function verifyProof(proof: Uint8Array): Promise<void> {
  await verifier.verify(unseal(proof))
}

/**
 * Join tokens: a secret, the authority's public key and addresses to start from, as one printable string. The secret is the
 * cluster's, or an invitation's: then it is a key pair's, of which members know the public half, and both shake hands by what is
 * derived from that.
 */
import { hash, hkdfSync } from 'node:crypto'
import { excerpt } from '../../oci/oci.ts'
import {
  bytes,
  codec,
  identityFromSeed,
  list,
  MalformedError,
  optional,
  struct,
  text,
  uint,
} from '../../wire/wire.ts'
import { TokenError } from '../errors.ts'

export interface TokenContent {
  /** 32 bytes: random ones, or those that belong to the invitation. */
  secret: Uint8Array
  /** The seed of an invitation's key pair, of who is no member yet. */
  invitation?: Uint8Array
  /** The authority's raw Ed25519 public key. */
  authority: Uint8Array
  /** Multiaddrs of members, at most 16. */
  bootstrap: string[]
  /** How many rotations there were before this secret; absent for none. */
  generation?: number
}

export const maxBootstrapAddresses = 16

const prefix = 'shoal1:'
const maxBytes = 6144
const multiaddrForm = /^(?:\/[a-zA-Z0-9.:%_-]+)+$/
const maxAddressLength = 256
const schema = struct({
  authority: bytes({ length: 32 }),
  bootstrap: list(text({ max: maxAddressLength, parse: checkMultiaddr }), { max: maxBootstrapAddresses }),
  generation: optional(uint()),
  invitation: optional(bytes({ length: 32 })),
  secret: optional(bytes({ length: 32 })),
})
const content = codec(schema, { maxBytes })

/** `shoal1:` and base64url of deterministic CBOR with a checksum, so that a truncated paste is noticed. */
export function encodeToken(token: TokenContent): string {
  const { secret, ...rest } = token
  return sealText(prefix, content.encode(token.invitation === undefined ? { secret, ...rest } : rest))
}

/** Throws TokenError saying what is wrong; never repeats a token, which is a secret. */
export function parseToken(given: string): TokenContent {
  const body = openText(prefix, given, 'join token')
  try {
    const { secret, ...rest } = content.decode(body)
    const { invitation } = rest
    if (secret !== undefined && invitation === undefined) return { secret, ...rest }
    if (secret !== undefined || invitation === undefined)
      throw new MalformedError('it has to hold a secret or an invitation')
    return { ...rest, secret: invitationSecret(identityFromSeed(invitation).publicKey) }
  } catch (cause) {
    if (!(cause instanceof MalformedError)) throw cause
    throw new TokenError('the join token does not decode; it may be of a newer version', { cause })
  }
}

/** By which those who have an invitation and members shake hands: strangers lack it, and it is good for nothing but a talk. */
export function invitationSecret(publicKey: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', publicKey, new Uint8Array(0), 'shoal/1 invitation', 32))
}

/**
 * Throws TokenError naming the address. By its form alone: a node reads its cluster before it loads libp2p, which knows
 * each protocol and refuses what it cannot dial.
 */
export function checkMultiaddr(address: string): string {
  if (multiaddrForm.test(address)) return address
  throw new TokenError(`"${excerpt(address)}" is not a multiaddr such as /ip4/192.0.2.1/tcp/5001`)
}

/** `prefix` and base64url of the body and a checksum. */
export function sealText(prefix: string, body: Uint8Array): string {
  return prefix + Buffer.concat([body, checksumOf(body)]).toString('base64url')
}

/** The body of what `sealText` wrote. Throws TokenError; `what` names the thing in its message. */
export function openText(prefix: string, given: string, what: string): Uint8Array {
  const trimmed = given.trim()
  if (!trimmed.startsWith(prefix)) throw new TokenError(`the ${what} does not start with "${prefix}"`)
  const encoded = trimmed.slice(prefix.length)
  if (encoded.length > maxBytes * 2) throw new TokenError(`the ${what} is too long to be one`)
  if (!/^[A-Za-z0-9_-]*$/.test(encoded)) {
    throw new TokenError(`the ${what} holds characters that one never has; copy it again`)
  }
  const decoded = Buffer.from(encoded, 'base64url')
  const body = decoded.subarray(0, Math.max(0, decoded.length - checksumBytes))
  if (decoded.toString('base64url') !== encoded || !checksumOf(body).equals(decoded.subarray(body.length))) {
    throw new TokenError(`the ${what} is damaged or cut off (its checksum differs); copy it again`)
  }
  return new Uint8Array(body)
}

const checksumBytes = 4

function checksumOf(body: Uint8Array): Buffer {
  return hash('sha256', body, 'buffer').subarray(0, checksumBytes)
}

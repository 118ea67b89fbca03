/**
 * libp2p peer ids of Ed25519 keys as text: base58btc of the identity multihash of the protobuf public key
 * (libp2p specs, peer-ids), so always `12D3Koo…`.
 */
import { MalformedError } from './errors.ts'

/** Identity multihash of 36 bytes; protobuf: key type 1 is Ed25519, then 32 bytes of data. */
const prefix = Buffer.from('002408011220', 'hex')
const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const maxRemembered = 4096
const remembered = new Map<string, string>()

/** `publicKey` is the raw key of 32 bytes. */
export function peerIdOf(publicKey: Uint8Array): string {
  const hex = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.byteLength).toString('hex')
  const known = remembered.get(hex)
  if (known !== undefined) return known
  let rest = BigInt(`0x${prefix.toString('hex')}${hex}`)
  let text = ''
  for (; rest > 0n; rest /= 58n) text = alphabet.charAt(Number(rest % 58n)) + text
  // The multihash begins with exactly one zero byte, which base58btc writes as a leading 1.
  text = `1${text}`
  if (remembered.size >= maxRemembered) remembered.clear()
  remembered.set(hex, text)
  return text
}

/** The raw public key of 32 bytes. Throws `MALFORMED`. */
export function parsePeerId(text: string): Uint8Array {
  if (/^1[1-9A-HJ-NP-Za-km-z]{51}$/.test(text)) {
    let number = 0n
    for (const digit of text.slice(1)) number = number * 58n + BigInt(alphabet.indexOf(digit))
    const hex = number.toString(16).padStart(76, '0')
    const bytes = Buffer.from(hex, 'hex')
    if (bytes.length === 38 && bytes.subarray(0, 6).equals(prefix)) return new Uint8Array(bytes.subarray(6))
  }
  throw new MalformedError(`"${text.slice(0, 80)}" is not the peer id of an Ed25519 key; expected 12D3Koo…`)
}

/** Messages of the DHT and of gossip as bytes, so that they can say what libp2p's own encoders would not. */
import { peerIdFromString } from '@libp2p/peer-id'
import { create as createMultihash } from 'multiformats/hashes/digest'

const sha256 = 0x12
const addProvider = 2
const ping = 5

/** Asks for an answer and nothing else. */
export const pingMessage = Uint8Array.from([0x08, ping])

/** Says that `peer` holds what the hash of 32 bytes names, and is reached at `address`. */
export function addProviderMessage(hash: Uint8Array, peer: string, address: Uint8Array): Uint8Array {
  const provider = Buffer.concat([field(1, peerIdFromString(peer).toMultihash().bytes), field(2, address)])
  const key = createMultihash(sha256, hash).bytes
  return Buffer.concat([Buffer.from([0x08, addProvider]), field(2, key), field(9, provider)])
}

/** Hands on one message of a topic, unsigned. */
export function gossipMessage(topic: string, data: Uint8Array): Uint8Array {
  return field(2, Buffer.concat([field(2, data), field(4, Buffer.from(topic))]))
}

/** A message behind its length, as libp2p's protocols send it. */
export function delimited(message: Uint8Array): Uint8Array {
  return Buffer.concat([varint(message.length), message])
}

function field(number: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from([(number << 3) | 2]), varint(bytes.length), bytes])
}

function varint(value: number): Uint8Array {
  const digits: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...digits, rest])
    digits.push((rest % 128) | 0x80)
  }
}

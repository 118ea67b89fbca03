/** Records in any number and size, signed by whomever a test names. */

import { signRecord } from '../../src/records/record.ts'
import { bytes, codec, type Identity, list } from '../../src/wire/wire.ts'
import { digestOf, mediaType } from '../records/fixture.ts'

/** A gossip message of these records, as `src/records/spread.ts` packs them, with none of its limits. */
export function spreadMessage(records: Uint8Array[]): Uint8Array {
  return messageCodec.encode(records)
}

const messageCodec = codec(list(bytes({ max: 2 ** 20 }), { max: 2 ** 20 }), { maxBytes: 2 ** 30 })

interface SignedOptions {
  repository?: string
  /** When it says it was written, milliseconds since the epoch; default now. */
  ms?: number
  first?: number
}

/** Tags `t0` and on, a counter apart. */
export function tagRecords(author: Identity, count: number, options: SignedOptions = {}): Uint8Array[] {
  const { repository = 'hostile/tags', ms = Date.now(), first = 0 } = options
  const value = { digest: digestOf('hostile'), mediaType, size: 7 }
  return Array.from({ length: count }, (_, n) => {
    const key = `${repository}:t${first + n}`
    return signRecord({ kind: 'tag', key, time: [ms, n], value }, author).envelope.bytes
  })
}

/** Manifests with annotations that make each record about `size` bytes. */
export function manifestRecords(
  author: Identity,
  count: number,
  { size = 60 * 1024, ...options }: SignedOptions & { size?: number } = {},
): Uint8Array[] {
  const { repository = 'hostile/manifests', ms = Date.now(), first = 0 } = options
  const value = { mediaType, size: 7, annotations: { long: 'x'.repeat(size - 300) } }
  return Array.from({ length: count }, (_, n) => {
    const key = `${repository}@${digestOf(`${author.peerId} ${first + n}`)}`
    return signRecord({ kind: 'manifest', key, time: [ms, n], value }, author).envelope.bytes
  })
}

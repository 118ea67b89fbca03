/** What a record of an archive holds, for whoever brings it back to a cluster in which its signer counts no more. */
import { peerIdOf } from '../wire/wire.ts'
import { decodeRecord } from './record.ts'

export interface Restored {
  /** Who signed it, as a peer id. */
  signer: string
  /** Of a seal: its author's own record. */
  original?: Uint8Array
}

/** Throws `MALFORMED`. */
export function readRestored(record: Uint8Array): Restored {
  const { envelope, sealed } = decodeRecord(record)
  const signer = peerIdOf(envelope.author)
  return sealed === undefined ? { signer } : { signer, original: sealed.original.envelope.bytes }
}

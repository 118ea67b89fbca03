/** Asking one peer for the records of a few keys, and answering: for a tag that gossip has not brought yet. */
import {
  bytes,
  type Channel,
  ChannelBrokenError,
  codec,
  list,
  literal,
  MalformedError,
  struct,
  text,
} from '../wire/wire.ts'
import type { Ledger } from './ledger-contract.ts'
import { decodeRecord, keyText, maxRecordBytes, parseKeyText, type RecordKey } from './record.ts'

const maxKeys = 32
const maxAnswerBytes = 256 * 1024

const questionCodec = codec(
  struct({ type: literal('ask'), keys: list(text({ max: 512 }), { max: maxKeys }) }),
  { maxBytes: 32 * 1024 },
)
const answerCodec = codec(
  struct({ type: literal('answer'), records: list(bytes({ max: maxRecordBytes }), { max: 2 * maxKeys }) }),
  { maxBytes: maxAnswerBytes },
)

/**
 * What the peer holds for the keys, as signed and not yet judged: hand it to `apply`. Of a tag the manifest that it points
 * to comes with it. At most 32 keys. Questions can follow each other on one channel.
 */
export async function askRecords(
  channel: Channel,
  keys: RecordKey[],
  options: { signal?: AbortSignal } = {},
): Promise<Uint8Array[]> {
  await channel.send(questionCodec.encode({ type: 'ask', keys: keys.map(keyText) }), options)
  const answer = await channel.receive(options)
  if (answer === undefined) throw new ChannelBrokenError('the peer left without an answer')
  return answerCodec.decode(answer).records
}

/** Of an answer to `keys`, what was asked for: these, and the manifests to which the tags among them point. */
export function askedFor(keys: RecordKey[], records: Uint8Array[]): (key: RecordKey) => boolean {
  const asked = new Set(keys.map(keyText))
  for (const record of records) {
    const manifest = manifestOf(record, asked)
    if (manifest !== undefined) asked.add(keyText(manifest))
  }
  return (key) => asked.has(keyText(key))
}

function manifestOf(record: Uint8Array, asked: ReadonlySet<string>): RecordKey | undefined {
  try {
    const { key, body } = decodeRecord(record)
    if (key.kind !== 'tag' || body.kind !== 'tag' || body.value === null) return undefined
    const { digest } = body.value
    return asked.has(keyText(key)) ? { kind: 'manifest', repository: key.repository, digest } : undefined
  } catch (error) {
    // Who applies it says so.
    if (error instanceof MalformedError) return undefined
    throw error
  }
}

/** Answers until the peer ends the channel. Throws `MALFORMED` for what is no question. */
export async function answerQuestions(
  channel: Channel,
  ledger: Pick<Ledger, 'findRecord'>,
  options: { signal?: AbortSignal } = {},
): Promise<void> {
  for (;;) {
    const question = await channel.receive(options)
    if (question === undefined) break
    const keys = questionCodec.decode(question).keys.map(parseKeyText)
    await channel.send(answerCodec.encode({ type: 'answer', records: collect(ledger, keys) }), options)
  }
  await channel.close()
}

function collect(ledger: Pick<Ledger, 'findRecord'>, keys: RecordKey[]): Uint8Array[] {
  const found = new Map<string, Uint8Array>()
  // Room for the names and lengths around the records.
  let room = maxAnswerBytes - 1024
  const add = (key: RecordKey): Uint8Array | undefined => {
    const record = ledger.findRecord(key)
    if (record === undefined || record.length > room || found.has(keyText(key))) return record
    room -= record.length
    found.set(keyText(key), record)
    return record
  }
  for (const key of keys) {
    const record = add(key)
    if (record === undefined || key.kind !== 'tag') continue
    const { body } = decodeRecord(record)
    if (body.kind !== 'tag' || body.value === null) continue
    add({ kind: 'manifest', repository: key.repository, digest: body.value.digest })
  }
  return [...found.values()]
}

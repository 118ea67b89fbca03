/** What two ledgers say to each other while they reconcile; reconcile.ts tells the story. */
import {
  bytes,
  codec,
  type Infer,
  list,
  literal,
  MalformedError,
  struct,
  text,
  uint,
  variant,
} from '../wire/wire.ts'
import { maxRecordBytes } from './record.ts'

const positionPattern = /^(?:[0-9a-f]{32})?$/
const prefixPattern = /^[0-9a-f]{0,4}$/

const matching = (pattern: RegExp, max: number) =>
  text({
    max,
    parse(given) {
      if (!pattern.test(given)) throw new MalformedError('not a position')
      return given
    },
  })
const prefix = matching(prefixPattern, 4)
const position = matching(positionPattern, 32)
const mask = uint({ max: 0xffff })

export const positionBytes = 16
/** A position and the first half of a record's hash. */
export const itemBytes = 32
export const childrenBytes = 16 * 32
export const maxMessageBytes = 512 * 1024

const messageSchema = variant('type', {
  hello: struct({
    type: literal('hello'),
    version: uint(),
    now: uint(),
    total: uint(),
    root: bytes({ length: 32 }),
    /** The hash of its policy record, or nothing. */
    policy: bytes({ max: 32 }),
  }),
  /** Please compare these sixteen children of each prefix. */
  compare: struct({
    type: literal('compare'),
    nodes: list(struct({ prefix, children: bytes({ length: childrenBytes }) }), { max: 512 }),
  }),
  /** The answer: which children differ, and which of those have no records here. */
  differ: struct({
    type: literal('differ'),
    nodes: list(struct({ prefix, differing: mask, empty: mask }), { max: 4096 }),
  }),
  /** All that is held under the prefix after one position and up to another; empty texts are its ends. */
  items: struct({
    type: literal('items'),
    ranges: list(
      struct({ prefix, after: position, upTo: position, items: bytes({ max: maxMessageBytes }) }),
      { max: 4096 },
    ),
  }),
  want: struct({ type: literal('want'), positions: bytes({ max: maxMessageBytes }) }),
  records: struct({
    type: literal('records'),
    records: list(bytes({ max: maxRecordBytes }), { max: 4096 }),
  }),
  /** It is the other's turn. */
  over: struct({ type: literal('over') }),
  /** There is nothing left to compare. */
  done: struct({ type: literal('done') }),
})

export type Message = Infer<typeof messageSchema>
export type MessageOf<T extends Message['type']> = Extract<Message, { type: T }>

export const messages = codec(messageSchema, { maxBytes: maxMessageBytes })

/** The side that answers in a reconciliation: it keeps nothing from one turn to the next. */
import type { Conversation } from './conversation.ts'
import { PeerMisbehavedError } from './errors.ts'
import { depth } from './fingerprints.ts'
import { childrenBytes, itemBytes, type MessageOf, positionBytes } from './reconcile-messages.ts'
import { exchangePolicies } from './reconcile-policy.ts'

/** What the initiator may ask in one turn: fingerprints of 1,024 prefixes, and the items of one crowded leaf. */
const maxQuestionBytes = 8 * 1024 * 1024
const messageWants = 16_384
const recordsAtOnce = 256
const hashHex = 2 * (itemBytes - positionBytes)
const fingerprintBytes = childrenBytes / 16

type Range = MessageOf<'items'>['ranges'][number]

export class Responder {
  readonly #conversation: Conversation

  constructor(conversation: Conversation) {
    this.#conversation = conversation
  }

  async run(): Promise<void> {
    const hello = await this.#conversation.receiveHello()
    const own = await this.#conversation.sendHello()
    await exchangePolicies(this.#conversation, hello, own, { first: false })
    for (;;) {
      const { said, done } = await this.#conversation.receiveTurn(maxQuestionBytes)
      if (done) return
      for (const message of said) {
        if (message.type === 'compare') await this.#compare(message.nodes)
        else if (message.type === 'items') await this.#answerItems(message.ranges)
        else throw new PeerMisbehavedError(`sent ${message.type} in a question`)
      }
      await this.#conversation.send({ type: 'over' })
    }
  }

  async #compare(asked: MessageOf<'compare'>['nodes']): Promise<void> {
    const { fingerprints } = this.#conversation
    const nodes = asked.map(({ prefix, children }) => {
      if (prefix.length >= depth) throw new PeerMisbehavedError('compares below the leaves')
      const own = fingerprints.children(prefix)
      let differing = 0
      let empty = 0
      for (let digit = 0; digit < 16; digit++) {
        const [from, to] = [digit * fingerprintBytes, (digit + 1) * fingerprintBytes]
        if (Buffer.compare(own.subarray(from, to), children.subarray(from, to)) === 0) continue
        differing |= 1 << digit
        if (fingerprints.count(prefix + digit.toString(16)) === 0) empty |= 1 << digit
      }
      return { prefix, differing, empty }
    })
    await this.#conversation.send({ type: 'differ', nodes })
  }

  /** Sends what the lists lack or have otherwise, and wants what is only in them. */
  async #answerItems(ranges: Range[]): Promise<void> {
    let wants: string[] = []
    const flush = async (): Promise<void> => {
      if (wants.length === 0) return
      await this.#conversation.send({ type: 'want', positions: Buffer.from(wants.join(''), 'hex') })
      wants = []
    }
    for (const range of ranges) {
      for (const position of await this.#answerRange(range)) {
        wants.push(position)
        if (wants.length >= messageWants) await flush()
      }
    }
    await this.#conversation.flushRecords()
    await flush()
  }

  /** The positions in the range whose records are wanted. */
  async #answerRange({ prefix, after, upTo, items }: Range): Promise<string[]> {
    const theirs = readItems(items, prefix)
    const { positions } = this.#conversation
    const range = { ...(after === '' ? {} : { after }), ...(upTo === '' ? {} : { upTo }) }
    let missing: string[] = []
    const send = async (): Promise<void> => {
      for (const record of await positions.getSigned(missing)) await this.#conversation.sendRecord(record)
      missing = []
    }
    for await (const { position, hash, key } of positions.under(prefix, range)) {
      const other = theirs.get(position)
      theirs.delete(position)
      if (other === shortHash(hash) || other === shortHash(positions.waitingAt(position))) continue
      missing.push(key)
      if (missing.length >= recordsAtOnce) await send()
    }
    await send()
    if (this.#conversation.isSated) return []
    return [...theirs]
      .filter(([position, other]) => other !== shortHash(positions.waitingAt(position)))
      .map(([position]) => position)
  }
}

/** As much of a record's hash as an item has, in hex digits; of none it is like no other. */
function shortHash(hash: Uint8Array | undefined): string {
  return hash === undefined ? '' : Buffer.from(hash).toString('hex', 0, itemBytes - positionBytes)
}

/** Hash by position, both as hex digits. */
function readItems(items: Uint8Array, prefix: string): Map<string, string> {
  if (items.length % itemBytes !== 0) throw new PeerMisbehavedError('lists half an item')
  const hex = Buffer.from(items.buffer, items.byteOffset, items.length).toString('hex')
  const found = new Map<string, string>()
  for (let at = 0; at < hex.length; at += 2 * itemBytes) {
    const position = hex.slice(at, at + 2 * positionBytes)
    if (!position.startsWith(prefix)) throw new PeerMisbehavedError('lists an item outside its range')
    found.set(position, hex.slice(at + 2 * positionBytes, at + 2 * positionBytes + hashHex))
  }
  return found
}

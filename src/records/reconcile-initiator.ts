/** The side that leads a reconciliation: it holds what is still to be compared, and asks a bounded part of it in each turn. */
import type { Conversation } from './conversation.ts'
import { PeerMisbehavedError } from './errors.ts'
import { depth } from './fingerprints.ts'
import { itemBytes, type Message, type MessageOf, positionBytes } from './reconcile-messages.ts'
import { exchangePolicies } from './reconcile-policy.ts'

/** A part with so few records is listed, as that costs less than the fingerprints of its children. */
const maxListed = 32
/** One turn asks about so many prefixes, or lists so many items, at most. */
const maxAsked = 1024
const maxItems = 16_384
/** One range holds so many items; more than one is needed only where someone made keys that fall together. */
const maxRange = 4096
const messageNodes = 256
const messageRangeBytes = 256 * 1024
/** A `differ` for every prefix that was asked, and every position that was listed, wanted. */
const maxAnswerBytes = 2 * 1024 * 1024

export class Initiator {
  readonly #conversation: Conversation
  /** Prefixes to compare; those to send whole, as the peer has nothing there. */
  readonly #open: string[] = []
  readonly #whole: string[] = []
  #wanted: string[] = []
  /** How many items it listed in this turn: the peer wants no more. */
  #listed = 0

  constructor(conversation: Conversation) {
    this.#conversation = conversation
  }

  async run(): Promise<void> {
    const { fingerprints } = this.#conversation
    const own = await this.#conversation.sendHello()
    const hello = await this.#conversation.receiveHello()
    await exchangePolicies(this.#conversation, hello, own, { first: true })
    if (Buffer.compare(fingerprints.of(''), hello.root) !== 0) {
      ;(hello.total === 0 ? this.#whole : this.#open).push('')
    }
    while (this.#open.length > 0 || this.#whole.length > 0 || this.#wanted.length > 0) {
      await this.#sendWanted()
      await this.#sendWhole()
      const asked = await this.#ask()
      await this.#conversation.send({ type: 'over' })
      const { said, done } = await this.#conversation.receiveTurn(maxAnswerBytes)
      if (done) throw new PeerMisbehavedError('ended what it did not begin')
      for (const message of said) this.#take(message, asked)
    }
    await this.#conversation.send({ type: 'done' })
  }

  async #sendWanted(): Promise<void> {
    const wanted = this.#wanted
    this.#wanted = []
    for (const position of wanted) {
      const record = this.#conversation.positions.findSigned(position)
      if (record !== undefined) await this.#conversation.sendRecord(record)
    }
    await this.#conversation.flushRecords()
  }

  async #sendWhole(): Promise<void> {
    for (let prefix = this.#whole.pop(); prefix !== undefined; prefix = this.#whole.pop()) {
      for await (const record of this.#conversation.positions.signedUnder(prefix)) {
        await this.#conversation.sendRecord(record)
      }
    }
    await this.#conversation.flushRecords()
  }

  async #ask(): Promise<Set<string>> {
    const asked = new Set<string>()
    const { fingerprints } = this.#conversation
    let nodes: MessageOf<'compare'>['nodes'] = []
    let items = 0
    const lists: string[] = []
    this.#listed = 0
    while (this.#open.length > 0 && asked.size + lists.length < maxAsked && items < maxItems) {
      const prefix = this.#open.pop() ?? ''
      const count = fingerprints.count(prefix)
      if (count <= maxListed || prefix.length === depth) {
        lists.push(prefix)
        items += count
        continue
      }
      asked.add(prefix)
      nodes.push({ prefix, children: fingerprints.children(prefix) })
      if (nodes.length < messageNodes) continue
      await this.#conversation.send({ type: 'compare', nodes })
      nodes = []
    }
    if (nodes.length > 0) await this.#conversation.send({ type: 'compare', nodes })
    await this.#list(lists)
    return asked
  }

  /** Says everything that is held under these prefixes, in ranges that join without a gap. */
  async #list(prefixes: string[]): Promise<void> {
    let ranges: MessageOf<'items'>['ranges'] = []
    let bytes = 0
    const add = async (range: MessageOf<'items'>['ranges'][number]): Promise<void> => {
      ranges.push(range)
      bytes += range.items.length + 64
      if (bytes < messageRangeBytes) return
      await this.#conversation.send({ type: 'items', ranges })
      ranges = []
      bytes = 0
    }
    for (const prefix of prefixes) {
      let items: Buffer[] = []
      let after = ''
      for await (const { position, hash } of this.#conversation.positions.under(prefix)) {
        this.#listed++
        items.push(Buffer.from(position, 'hex'), Buffer.from(hash.subarray(0, itemBytes - positionBytes)))
        if (items.length < 2 * maxRange) continue
        await add({ prefix, after, upTo: position, items: Buffer.concat(items) })
        items = []
        after = position
      }
      await add({ prefix, after, upTo: '', items: Buffer.concat(items) })
    }
    if (ranges.length > 0) await this.#conversation.send({ type: 'items', ranges })
  }

  #take(message: Message, asked: Set<string>): void {
    if (message.type === 'want') {
      const { positions } = message
      if (positions.length % positionBytes !== 0) throw new PeerMisbehavedError('wants half a position')
      this.#listed -= positions.length / positionBytes
      if (this.#listed < 0) throw new PeerMisbehavedError('wants what was not listed')
      for (let at = 0; at < positions.length; at += positionBytes) {
        this.#wanted.push(Buffer.from(positions.subarray(at, at + positionBytes)).toString('hex'))
      }
    } else if (message.type === 'differ') {
      for (const { prefix, differing, empty } of message.nodes) {
        // Each prefix is answered once, so the peer cannot make the descent longer than the tree is.
        if (!asked.delete(prefix)) throw new PeerMisbehavedError('answers what was not asked')
        for (let digit = 0; digit < 16; digit++) {
          if ((differing & (1 << digit)) === 0) continue
          const isEmpty = (empty & (1 << digit)) !== 0
          ;(isEmpty ? this.#whole : this.#open).push(prefix + digit.toString(16))
        }
      }
    } else throw new PeerMisbehavedError(`sent ${message.type} in an answer`)
  }
}

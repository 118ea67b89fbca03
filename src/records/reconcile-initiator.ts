/** The side that leads a reconciliation: it holds what is still to be compared, and asks a bounded part of it in each turn. */
import type { Conversation } from './conversation.ts'
import { PeerMisbehavedError } from './errors.ts'
import { depth } from './fingerprints.ts'
import { itemBytes, type Message, type MessageOf, positionBytes } from './reconcile-messages.ts'
import { exchangePolicies } from './reconcile-policy.ts'

/** A part with so few records is listed: where most of them differ, going down to parts of a few each costs more. */
const maxListed = 64
/** Where one side has nothing there is nothing to compare, but a list should still be no longer than a turn is. */
const maxListedAlone = 1024
/** One turn compares so many prefixes, and lists parts with so many records, at most. */
const maxAsked = 1024
const maxRecords = 2048
const recordsAtOnce = 256
/** One range holds so many items; more than one is needed only where someone made keys that fall together. */
const maxRange = 4096
const messageNodes = 256
const messageRangeBytes = 256 * 1024
/** A `differ` for every prefix that was asked, and every position that was listed, wanted. */
const maxAnswerBytes = 2 * 1024 * 1024

interface Part {
  prefix: string
  /** The peer has nothing under it. */
  alone: boolean
}

export class Initiator {
  readonly #conversation: Conversation
  readonly #random: () => number
  /** What differs and has yet to be compared or listed. */
  readonly #open: Part[] = []
  /** Positions that the peer wants, and keys of which it sent what lost. */
  #wanted: string[] = []
  #owed: string[] = []
  /** How many items it listed in this turn: the peer wants no more. */
  #listed = 0
  /** How many records the peer has. */
  #theirs = 0

  constructor(conversation: Conversation, { random }: { random: () => number }) {
    this.#conversation = conversation
    conversation.keepsBeaten = true
    this.#random = random
  }

  async run(): Promise<void> {
    const { fingerprints } = this.#conversation
    const own = await this.#conversation.sendHello()
    const hello = await this.#conversation.receiveHello()
    await exchangePolicies(this.#conversation, hello, own, { first: true })
    this.#theirs = hello.total
    if (Buffer.compare(fingerprints.of(''), hello.root) !== 0) {
      this.#open.push({ prefix: '', alone: hello.total === 0 })
    }
    while (this.#open.length > 0 || this.#wanted.length > 0 || this.#owed.length > 0) {
      await this.#sendRecords()
      const asked = await this.#ask()
      await this.#conversation.send({ type: 'over' })
      const { said, done } = await this.#conversation.receiveTurn(maxAnswerBytes)
      if (done) throw new PeerMisbehavedError('ended what it did not begin')
      for (const message of said) this.#take(message, asked)
      // What is still to be compared comes when there is room for it.
      if (this.#conversation.isSated) this.#open.length = 0
      this.#owed = this.#conversation.takeBeaten()
    }
    await this.#conversation.send({ type: 'done' })
  }

  async #sendRecords(): Promise<void> {
    const { positions } = this.#conversation
    const keys = this.#owed.concat(await positions.getKeys(this.#wanted))
    this.#owed = []
    this.#wanted = []
    for (let from = 0; from < keys.length; from += recordsAtOnce) {
      for (const record of await positions.getSigned(keys.slice(from, from + recordsAtOnce))) {
        await this.#conversation.sendRecord(record)
      }
    }
    await this.#conversation.flushRecords()
  }

  async #ask(): Promise<Set<string>> {
    const asked = new Set<string>()
    const { fingerprints } = this.#conversation
    let nodes: MessageOf<'compare'>['nodes'] = []
    let records = 0
    const lists: string[] = []
    this.#listed = 0
    while (asked.size + lists.length < maxAsked && records < maxRecords) {
      const part = this.#open.pop()
      if (part === undefined) break
      const { prefix, alone } = part
      const own = fingerprints.count(prefix)
      // Positions are spread evenly, so the total tells about how many the peer has here.
      const most = Math.max(own, alone ? 0 : Math.ceil(this.#theirs / 16 ** prefix.length))
      if (most <= (alone || own === 0 ? maxListedAlone : maxListed) || prefix.length === depth) {
        lists.push(prefix)
        records += most
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
      for await (const { position, hash } of this.#conversation.positions.listed(prefix)) {
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
        for (const digit of shuffled(this.#random)) {
          if ((differing & (1 << digit)) === 0) continue
          this.#open.push({ prefix: prefix + digit.toString(16), alone: (empty & (1 << digit)) !== 0 })
        }
      }
    } else throw new PeerMisbehavedError(`sent ${message.type} in an answer`)
  }
}

function shuffled(random: () => number): number[] {
  const digits = Array.from({ length: 16 }, (_, digit) => digit)
  for (let at = digits.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1))
    ;[digits[at], digits[other]] = [digits[other] ?? 0, digits[at] ?? 0]
  }
  return digits
}

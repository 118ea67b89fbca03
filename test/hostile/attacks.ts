/** What a member can do to a cluster that it is in, each attack by its name; tests say what must come of it. */
import { randomBytes } from 'node:crypto'
import { reconcileProtocol } from '../../node/cluster/protocols.ts'
import { messages } from '../../src/records/reconcile-messages.ts'
import { type HostileMember, newIdentity } from './member.ts'
import { manifestRecords, spreadMessage, tagRecords } from './records.ts'

/** Attacks `peer`, with which it is connected, until it has done so `times` times. */
export type Attack = (member: HostileMember, peer: string, options: { times: number }) => Promise<void>

const recordsAtOnce = 700
const emptyHello = {
  type: 'hello',
  version: 1,
  now: 0,
  total: 1,
  root: new Uint8Array(32).fill(1),
  policy: new Uint8Array(),
} as const

export const attacks = {
  /** Valid messages that are passed on for one new record each, the others of which everyone has. */
  async repeatRecords(member, _peer, { times }) {
    const author = newIdentity()
    const known = tagRecords(author, recordsAtOnce)
    await member.gossip(spreadMessage(known))
    for (let n = 0; n < times; n++) {
      await member.gossip(spreadMessage([...known, ...tagRecords(author, 1, { first: recordsAtOnce + n })]))
    }
  },

  /** Valid records as large as they may be, four to a message, each by an author that nobody has seen. */
  async flood(member, _peer, { times }) {
    for (let n = 0; n < times; n++) await member.gossip(spreadMessage(manifestRecords(newIdentity(), 4)))
  },

  /** Begins a reconciliation, and says nothing in it again and again. */
  async holdReconciliation(member, peer, { times }) {
    const channel = await member.open(peer, reconcileProtocol)
    await channel.send(messages.encode({ ...emptyHello, now: Date.now() }))
    await channel.receive()
    for (let n = 0; n < times; n++) await channel.send(messages.encode({ type: 'records', records: [] }))
  },

  /** Claims to hold a thousand things that nobody has heard of, so many times. */
  async claimEverything(member, peer, { times }) {
    for (let n = 0; n < times; n++) {
      await member.claimToHold(
        peer,
        Array.from({ length: 1000 }, () => randomBytes(32)),
      )
    }
  },
} satisfies Record<string, Attack>

export type AttackName = keyof typeof attacks

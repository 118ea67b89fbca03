/**
 * Reconciliation: two ledgers find where they differ, and exchange only that.
 *
 * Keys are spread evenly by their hash; fingerprints.ts keeps a tree of fingerprints over it. Both say hello with the
 * root; when the roots are the same it is over. Else they take turns, and in a turn only one side sends, so that neither
 * waits for the other while that one waits for it:
 *
 *     initiator: compare (children of a prefix) · items (all it holds of a small part) · records that were wanted · over
 *     responder: differ (which children)        · records the initiator lacks · want (what it lacks itself)  · over
 *
 * The initiator leads, depth first and a bounded part in each turn, so that memory does not grow with the difference; and
 * in random order, so that a node that is brought up to date by two members at once gets most records from one of them.
 * A policy goes before everything else. Where both hold a record for the same key the responder sends its own, and the
 * initiator answers with what it holds where that stands against it.
 *
 * A peer is cut off for a message that is malformed, empty or out of turn, for a record that carries blame, for silence, and
 * at the limits of time, bytes and turns, empty ones among them. What was applied until then stays: every record stands by itself.
 */
import type { Clock } from '../base/base.ts'
import type { Channel } from '../wire/wire.ts'
import { Conversation } from './conversation.ts'
import type { Ledger } from './ledger-contract.ts'
import { Initiator } from './reconcile-initiator.ts'
import { Responder } from './reconcile-responder.ts'

export interface ReconcileOptions {
  clock?: Clock
  signal?: AbortSignal
  /** How long the peer may be silent. Default 10 s. */
  idleMs?: number
  /** How long all of it may take. Default 2 minutes. */
  maxMs?: number
  /** How much the peer may send. Default 1 GiB. */
  maxBytes?: number
  /** Called whenever records from the peer have become current. */
  onApplied?: () => void
  /** Called with how far the peer's clock is ahead of this one, as far as one message can tell. */
  onClock?: (aheadMs: number) => void
  /** From 0 to 1; default `Math.random`. */
  random?: () => number
}

export interface ReconcileReport {
  bytesSent: number
  bytesReceived: number
  recordsSent: number
  /** How many records from the peer became current here. */
  applied: number
  /** How many it sent that were refused, as by a policy that the peer does not have. */
  refused: number
  turns: number
}

/**
 * Brings both ledgers to the same records; the peer runs `answerReconciliation`. Throws `PEER_MISBEHAVED`, `CHANNEL_BROKEN`, or the
 * signal's reason, and aborts the channel then.
 */
export function reconcile(
  channel: Channel,
  ledger: Ledger,
  options: ReconcileOptions = {},
): Promise<ReconcileReport> {
  const { random = Math.random } = options
  return Conversation.run(channel, ledger, options, (conversation) =>
    new Initiator(conversation, { random }).run(),
  )
}

export function answerReconciliation(
  channel: Channel,
  ledger: Ledger,
  options: ReconcileOptions = {},
): Promise<ReconcileReport> {
  return Conversation.run(channel, ledger, options, (conversation) => new Responder(conversation).run())
}

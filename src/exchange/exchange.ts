/**
 * How blobs move as verified pieces. What the rest of the house may see of it; behind it lie five rooms, each of which knows
 * those before it only:
 *
 * - protocol: how a blob is cut, the signed list of its pieces, messages and frames. Pure.
 * - picker: what to ask whom for (Download), whom to serve next (Upload). Pure: fed with events and the time, answers with actions.
 * - peer: one neighbour: what is said to it, and the bytes that come from it.
 * - seeding: those who download from here: their sessions, what is sent to them, what this node holds.
 * - transfer: one blob on its way here, its readers, the piece lists that are believed, and what comes from an upstream.
 */

export type {
  Exchange,
  ExchangeMembers,
  ExchangeOptions,
  ExchangeStatus,
  Origin,
  OriginDelegation,
} from './contract.ts'
export { openExchange } from './open.ts'
export { layoutOf, maxBlobBytes } from './protocol/piece-size.ts'
export type { Wanted } from './protocol/wanted.ts'
export type { PieceListStorage } from './seeding/piece-lists.ts'
export type { TransferView } from './transfer/transfer-view.ts'

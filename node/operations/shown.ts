/** What commands and the page show of accounts, members, invitations and room: types alone, as the page's part in the browser reads them too. */

/** Without what proves a secret. */
export interface ShownAccount {
  name: string
  type: 'person' | 'robot'
  groups: string[]
  disabledMs?: number
  expiresMs?: number
  note?: string
  writtenMs: number
  /** Who signed it, as a peer id. */
  author: string
}

export interface ShownMember {
  peer: string
  name?: string
  site?: string
  /** Of those that are connected, and of this node. */
  version?: string
  /**
   * `member`: connected, and nobody had to approve it; `approved`: connected and approved; `away`: not connected; `guest`:
   * not approved, where members have to be; `gone`: forgotten; `banned`.
   */
  state: 'member' | 'approved' | 'away' | 'guest' | 'gone' | 'banned'
  /** Since it was let in, or, of a guest, came first; of one that is only connected, since it is. */
  sinceMs?: number
  /** Where a guest came from: an IP address. */
  from?: string
}

export interface ShownInvitation {
  id: string
  uses: number
  /** Who came with it, as peer ids. */
  admitted: string[]
  expiresMs: number
  revokedMs?: number
  /** Whether who comes with it needs no approval. */
  isApproved: boolean
  site?: string
  /** Who made it, as a peer id. */
  author: string
}

/** What would go to make room. */
export interface PlannedBlob {
  digest: string
  reason: 'part' | 'mirrored' | 'surplus' | 'unreferenced'
  bytes: number
  /** One of those that hold it. */
  repository?: string
  /** How long ago it was used last, as far as the node has run since. */
  unusedMs: number
}

export interface PlannedGroup {
  /** The reason in words. */
  why: string
  repository?: string
  blobs: number
  bytes: number
  /** Of the one that was not used for longest. */
  unusedMs: number
}

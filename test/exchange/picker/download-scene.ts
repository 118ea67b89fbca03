/** A pure download in the hands of a test. */

import { Download } from '../../../src/exchange/picker/download.ts'
import {
  type DownloadAction,
  type DownloadEvent,
  type DownloadOptions,
  wakeEveryMs,
} from '../../../src/exchange/picker/download-events.ts'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'
import { layoutOf, minPieceBytes } from '../../../src/exchange/protocol/piece-size.ts'

/** A download of `count` small pieces, with the time in its hand. */
export class Scene {
  readonly download: Download
  readonly count: number
  /** Peers in other sites. */
  readonly far = new Set<string>()
  nowMs = 1000
  readonly log: DownloadAction[] = []

  constructor(count: number, options: Partial<DownloadOptions> = {}) {
    this.count = count
    const layout = layoutOf(count * minPieceBytes)
    const site = { self: 'me', blob: 'a blob', isFar: (peer: string) => this.far.has(peer) }
    this.download = new Download({ layout, site, random: () => 0.5, ...options })
  }

  give(event: DownloadEvent): DownloadAction[] {
    const actions = this.download.handle(event, this.nowMs)
    this.log.push(...actions)
    return actions
  }

  join(peer: string, pieces?: number[], near = true): DownloadAction[] {
    const held = pieces === undefined ? Bitfield.full(this.count) : new Bitfield(this.count)
    for (const piece of pieces ?? []) held.add(piece)
    if (!near) this.far.add(peer)
    return this.give({ type: 'peer', peer, held })
  }

  arrive(peer: string, piece: number, afterMs = 10): DownloadAction[] {
    this.nowMs += afterMs
    return this.give({ type: 'arrived', peer, piece })
  }

  /** Wakes it for `ms`, and lets these peers show signs of life. */
  pass(ms: number, alive: string[] = []): DownloadAction[] {
    const actions: DownloadAction[] = []
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += Math.min(wakeEveryMs, end - this.nowMs)
      for (const peer of alive) actions.push(...this.give({ type: 'alive', peer }))
      actions.push(...this.give({ type: 'wake' }))
    }
    return actions
  }
}

export function asked(actions: DownloadAction[], peer?: string): number[] {
  return actions
    .filter((action) => action.type === 'request' && (peer === undefined || action.peer === peer))
    .flatMap((action) => (action.type === 'request' ? action.pieces : []))
}

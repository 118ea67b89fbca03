/** Whose turn it is to be sent a piece, and which. */
import type { HandedOut } from './handed-out.ts'
import type { Waiting } from './on-their-way.ts'
import type { UploadPeer } from './upload-peer.ts'

export interface Turn {
  downloader: UploadPeer
  waiting: Waiting
}

type Blobs = ReadonlyMap<string, HandedOut>

/**
 * The first in the order of `downloaders`, with what was handed out least of what it asks for; last comes who has yet to show that
 * what is on its way there arrives.
 */
export function nextTurn(
  downloaders: Iterable<UploadPeer>,
  blobs: Blobs,
  { nowMs, takesStrangers }: { nowMs: number; takesStrangers: boolean },
): Turn | undefined {
  let last: Turn | undefined
  for (const downloader of downloaders) {
    if (downloader.queue.length === 0 || !downloader.hasRoom(nowMs)) continue
    if (downloader.isStranger && !takesStrangers) continue
    const waiting = leastHanded(downloader, blobs)
    if (waiting === undefined) continue
    if (!downloader.isStranger || downloader.sending.length === 0) return { downloader, waiting }
    last ??= { downloader, waiting }
  }
  return last
}

function leastHanded({ queue }: UploadPeer, blobs: Blobs): Waiting | undefined {
  let best: Waiting | undefined
  let bestTimes = Number.POSITIVE_INFINITY
  for (const waiting of queue) {
    const times = waiting.urgent ? -1 : (blobs.get(waiting.blob)?.times(waiting.piece) ?? 0)
    if (times >= bestTimes) continue
    best = waiting
    bestTimes = times
  }
  return best
}

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
 * The first in the order of `downloaders`; but what nobody has yet goes before what someone passes on, and last comes who has yet to
 * show that what is on its way there arrives.
 */
export function nextTurn(
  downloaders: Iterable<UploadPeer>,
  blobs: Blobs,
  { nowMs, takesStrangers }: { nowMs: number; takesStrangers: boolean },
): Turn | undefined {
  let second: Turn | undefined
  let last: Turn | undefined
  for (const downloader of downloaders) {
    if (downloader.queue.length === 0 || !downloader.hasRoom(nowMs)) continue
    if (downloader.isStranger && !takesStrangers) continue
    const found = leastHanded(downloader, blobs)
    if (found === undefined) continue
    const turn = { downloader, waiting: found.waiting }
    if (downloader.isStranger && downloader.sending.length > 0) last ??= turn
    else if (found.isPassedOn) second ??= turn
    else return turn
  }
  return second ?? last
}

function leastHanded(
  { queue }: UploadPeer,
  blobs: Blobs,
): { waiting: Waiting; isPassedOn: boolean } | undefined {
  let best: Waiting | undefined
  let bestTimes = Number.POSITIVE_INFINITY
  for (const waiting of queue) {
    const times = waiting.urgent ? -1 : (blobs.get(waiting.blob)?.times(waiting.piece) ?? 0)
    if (times >= bestTimes) continue
    best = waiting
    bestTimes = times
  }
  if (best === undefined) return undefined
  const isFirst = blobs.get(best.blob)?.isFirst === true
  return { waiting: best, isPassedOn: isFirst && bestTimes > 0 }
}

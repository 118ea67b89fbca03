/** The room that this node offers for copies: what it has and could have, less what it is to leave. */
import { roomOf } from '../src/placement/placement.ts'
import type { LocalNode } from './local-node.ts'

const ownKey = 'self'

/**
 * Measured now, as `roomOf` puts it. What was told last is remembered beyond a restart, which would else round anew, and move the
 * images of every member by one disk that lies between two steps.
 */
export async function offeredRoom({
  disk,
  rosterTable,
}: {
  disk: Pick<LocalNode['disk'], 'measure'>
  rosterTable: Pick<LocalNode['rosterTable'], 'get' | 'put'>
}): Promise<number> {
  const { blobBytes, freeBytes, minFreeBytes, limit } = await disk.measure({ mayBeOld: true })
  const bytes = blobBytes + Math.max(0, freeBytes - minFreeBytes)
  const told = await toldRoom({ rosterTable })
  const room = roomOf(Math.min(bytes, limit?.maxBytes ?? Number.POSITIVE_INFINITY), told)
  if (room !== told) await rosterTable.put(ownKey, [{ peer: ownKey, room, isOut: false }])
  return room
}

/** What was told last, or measured now where nothing was: a store of a million blobs is walked for half a minute. */
export async function firstRoom(node: Parameters<typeof offeredRoom>[0]): Promise<number> {
  return (await toldRoom(node)) ?? (await offeredRoom(node))
}

/** What was told last; `undefined` before the first time. */
export async function toldRoom({
  rosterTable,
}: {
  rosterTable: Pick<LocalNode['rosterTable'], 'get'>
}): Promise<number | undefined> {
  return (await rosterTable.get(ownKey))?.[0]?.room
}

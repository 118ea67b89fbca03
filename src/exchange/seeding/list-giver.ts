/** Gives askers the piece lists of what this node holds, one at a time for each want. */
import type { Background, Logger } from '../../base/base.ts'
import { ChannelBrokenError } from '../../wire/wire.ts'
import { listPackLimit, packLists } from '../protocol/list-pack.ts'
import { listFrames } from '../protocol/raw-frames.ts'
import type { AskerSession, ServedWant } from './asker-session.ts'
import type { Holdings } from './holdings.ts'
import type { PieceLists } from './piece-lists.ts'

export interface ListGiverOptions {
  lists: PieceLists
  holdings: Holdings
  background: Background
  logger: Logger
}

/** From the piece `from` on, in the background; or `no-list`. */
export function giveList(
  session: AskerSession,
  want: ServedWant,
  from: number,
  { lists, holdings, background, logger }: ListGiverOptions,
): void {
  if (want.isListing || want.holding === undefined) return
  const { size } = want.holding
  want.isListing = true
  background.start('list', async (signal) => {
    try {
      const growing = holdings.partialList(want.digest)
      const signed =
        growing === undefined ? [await lists.get(want.digest, size)] : lists.growing(growing, from)
      if (signed.length === 0) session.say({ type: 'no-list', id: want.id })
      const pack = packLists(signed, listPackLimit(size))
      for (const frame of listFrames(want.id, pack)) {
        if (session.find(want.id) !== want) return
        await session.channel.send(frame, { signal })
        session.spoke()
      }
    } catch (error) {
      if (error instanceof ChannelBrokenError || signal.aborted) return
      logger.warn({ err: error, digest: want.digest }, 'a piece list could not be given')
      session.say({ type: 'no-list', id: want.id })
    } finally {
      want.isListing = false
    }
  })
}

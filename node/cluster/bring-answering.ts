/** Brings blobs from an upstream because other members ask for it. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Exchange, LeadOptions, Wanted } from '../../src/exchange/exchange.ts'
import type { Store } from '../../src/store/store.ts'
import type { ChannelHandler } from '../../src/swarm/swarm.ts'
import type { Upstreams } from '../../src/upstream/upstream.ts'
import { type BringAnswer, bringAnswer, bringRequest, comingMs, reasonText } from './bring-messages.ts'
import { asUnavailable, originOf, sharedUpstream } from './upstream-origin.ts'

export interface BringAnsweringOptions {
  upstreams: Upstreams
  exchange: Pick<Exchange, 'lead' | 'changed'>
  links: Pick<Store['links'], 'add'>
}

const requestMs = 5_000

/** One channel for each blob: it stays open while the blob is wanted, and ends when it is here. */
export function answerBringing(options: BringAnsweringOptions): ChannelHandler {
  return async (channel, _peer, { signal }) => {
    const first = await channel.receive({ signal: AbortSignal.any([signal, AbortSignal.timeout(requestMs)]) })
    if (first === undefined) return
    const wanted = bringRequest.decode(first)
    const over = new AbortController()
    const either = AbortSignal.any([signal, over.signal])
    const leave = (): void => over.abort(new Error('whoever asked for it has left'))
    channel.receive({ signal: either }).then(leave, leave)
    const say = (answer: BringAnswer): Promise<void> =>
      channel.send(bringAnswer.encode(answer), { signal: either })
    const bringing = bring(options, wanted, { signal: either })
    try {
      for (let answer: BringAnswer | undefined; answer === undefined; ) {
        await say({ answer: 'coming' })
        answer = await Promise.race([bringing, delay(comingMs, undefined, { signal: either })])
        if (answer !== undefined) await say(answer)
      }
    } catch (error) {
      if (!over.signal.aborted) throw error
    } finally {
      leave()
      await bringing
    }
  }
}

/** Never throws. */
async function bring(
  { upstreams, exchange, links }: BringAnsweringOptions,
  wanted: Wanted,
  how: LeadOptions,
): Promise<BringAnswer> {
  const { repository, digest } = wanted
  const upstream = sharedUpstream(upstreams, wanted)
  if (upstream === undefined) {
    return {
      answer: 'failed',
      trouble: 'unreachable',
      reason: 'is not configured at the member that was asked',
    }
  }
  try {
    const isThere = await exchange.lead(wanted, originOf(upstream, wanted), how)
    if (!isThere) return { answer: 'absent' }
    // The upstream lets this repository have it, so this node does, too; who was told otherwise is told anew.
    await links.add(repository, [digest])
    exchange.changed(digest)
    return { answer: 'here' }
  } catch (error) {
    const failure = asUnavailable(upstream.name, error)
    const { trouble = 'unreachable', retryAfterMs } = failure ?? {}
    const reason =
      failure?.reason ?? `could not be asked: ${error instanceof Error ? error.message : String(error)}`
    return {
      answer: 'failed',
      trouble,
      reason: reasonText(reason),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs: Math.ceil(retryAfterMs) }),
    }
  }
}

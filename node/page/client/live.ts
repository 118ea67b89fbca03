/** The node's events as signals: the cluster's state, and one blob's while its view is open. */
import { signal } from '@preact/signals'
import type { BlobEvent, StateEvent } from '../answers/live.ts'
import { ApiError, reach } from './api.ts'
import { parseEvents } from './events.ts'
import { findMe } from './session.ts'

export const state = signal<StateEvent | undefined>(undefined)
export const blob = signal<BlobEvent | undefined>(undefined)
/** `lost` once the node has not been heard of for a while. */
export const connection = signal<'connecting' | 'open' | 'lost'>('connecting')

const retryMs = 2_000

let watching: { stop: AbortController; as: string } | undefined

/** Opens the one stream of events, for a blob's as well when one is watched; `who` is whose rights it has. */
export function connect(who: string | undefined, digest?: string): void {
  const as = JSON.stringify([who, digest])
  if (watching?.as === as) return
  watching?.stop.abort()
  const stop = new AbortController()
  watching = { stop, as }
  blob.value = undefined
  void follow(
    digest === undefined ? '/api/live' : `/api/live?blob=${encodeURIComponent(digest)}`,
    stop.signal,
  )
}

/** What was shown to somebody else is not shown on. */
export function disconnect(): void {
  watching?.stop.abort()
  watching = undefined
  state.value = undefined
  blob.value = undefined
}

/** Not by EventSource, which sends no header: the page's part of a session stands in none that is written to a log. */
async function follow(path: string, stopped: AbortSignal): Promise<void> {
  while (!stopped.aborted) {
    try {
      await read(path, stopped)
    } catch (error) {
      // The node went away in the middle of an event, or before it answered.
      if (!stopped.aborted && !(error instanceof ApiError || error instanceof TypeError)) throw error
    }
    if (stopped.aborted) return
    connection.value = (await findMe()) ? 'connecting' : 'lost'
    await new Promise((resolve) => setTimeout(resolve, retryMs))
  }
}

/** Until the stream ends; throws ApiError and TypeError. */
async function read(path: string, stopped: AbortSignal): Promise<void> {
  const { ok, body } = await reach(path, { signal: stopped })
  if (!ok || body === null) return
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done || stopped.aborted) return
    const { events, rest } = parseEvents(text + value)
    text = rest
    for (const { name, data } of events) {
      connection.value = 'open'
      if (name === 'state') state.value = JSON.parse(data) as StateEvent
      if (name === 'blob') blob.value = JSON.parse(data) as BlobEvent
    }
  }
}

/** The node's events as signals: the cluster's state, and one blob's while its view is open. */
import { signal } from '@preact/signals'
import type { BlobEvent, StateEvent } from '../answers.ts'

export const state = signal<StateEvent | undefined>(undefined)
export const blob = signal<BlobEvent | undefined>(undefined)
/** `lost` once the node has not been heard of for a while. */
export const connection = signal<'connecting' | 'open' | 'lost'>('connecting')

let source: EventSource | undefined
let watched: string | undefined

/** Opens the one stream of events, for a blob's as well when one is watched. */
export function connect(digest?: string): void {
  if (source !== undefined && watched === digest && source.readyState !== EventSource.CLOSED) return
  source?.close()
  watched = digest
  blob.value = undefined
  const opened = new EventSource(
    digest === undefined ? '/api/live' : `/api/live?blob=${encodeURIComponent(digest)}`,
  )
  source = opened
  opened.addEventListener('open', () => {
    connection.value = 'open'
  })
  opened.addEventListener('error', () => {
    if (source === opened) connection.value = 'lost'
    // A refusal ends the stream for good; what was refused may be granted later.
    if (opened.readyState === EventSource.CLOSED) setTimeout(() => reconnect(opened), retryMs)
  })
  opened.addEventListener('state', ({ data }) => {
    connection.value = 'open'
    state.value = JSON.parse(data) as StateEvent
  })
  opened.addEventListener('blob', ({ data }) => {
    blob.value = JSON.parse(data) as BlobEvent
  })
}

const retryMs = 3_000

function reconnect(ended: EventSource): void {
  if (source === ended) connect(watched)
}

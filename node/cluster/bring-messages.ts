/** What members say to each other when one is to bring a blob from an upstream for all. */
import { excerpt } from '../../src/oci/oci.ts'
import type { UpstreamTrouble } from '../../src/upstream/upstream.ts'
import {
  codec,
  digestText,
  type Infer,
  literal,
  optional,
  repositoryText,
  struct,
  text,
  uint,
  variant,
} from '../../src/wire/wire.ts'

export const bringProtocol = '/shoal/bring/1.0.0'
export const maxBringBytes = 2048
/** A docker that pulls, and what is fetched before it asks; each is one blob. */
export const bringLimits = { maxFrameBytes: maxBringBytes, maxInboundPerPeer: 64 }
/** How often the one who brings it says that it still does. */
export const comingMs = 500

const maxReasonLength = 512

/** What comes from outside, made fit for an answer, a log and a client. */
export function reasonText(text: string): string {
  return excerpt(text, maxReasonLength - 1)
}

const requestSchema = struct({
  digest: digestText,
  /** As it is named in the cluster, the upstream's name before it. */
  repository: repositoryText,
})

const answerSchema = variant('answer', {
  /** It is being brought; whoever asked finds it in its swarm. Said again and again until something else is. */
  coming: struct({ answer: literal('coming') }),
  /** It is here, whole. */
  here: struct({ answer: literal('here') }),
  absent: struct({ answer: literal('absent') }),
  failed: struct({
    answer: literal('failed'),
    reason: text({ max: maxReasonLength }),
    trouble: text({ max: 16, parse: parseTrouble }),
    /** As much as an upstream is believed. */
    retryAfterMs: optional(uint({ max: 24 * 3_600_000 })),
  }),
})

const troubles: readonly UpstreamTrouble[] = ['unreachable', 'paused', 'refused', 'wrong']

/** One that only a later version knows is as good as any. */
function parseTrouble(value: string): UpstreamTrouble {
  return troubles.find((trouble) => trouble === value) ?? 'unreachable'
}

export type BringAnswer = Infer<typeof answerSchema>

export const bringRequest = codec(requestSchema, { maxBytes: maxBringBytes })
export const bringAnswer = codec(answerSchema, { maxBytes: maxBringBytes })

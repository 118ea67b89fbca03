/** One upstream, opened as a test wants it. */
import type { Clock } from '../../src/base/base.ts'
import { parseReference, parseRepository, type Reference } from '../../src/oci/oci.ts'
import {
  openUpstreams,
  type Upstream,
  type UpstreamOptions,
  type UpstreamsOptions,
} from '../../src/upstream/upstream.ts'

export const repository = parseRepository('library/alpine')

export const tagged = (tag: string): Reference => parseReference(tag)

/** Longer than what a busy machine takes; tests of hanging upstreams have their own. */
const limits = { answerMs: 10_000, idleMs: 10_000 }

export interface OpenUpstream extends AsyncDisposable {
  readonly upstream: Upstream
}

export async function openUpstream(
  options: Partial<UpstreamOptions> & { url: URL },
  besides: Partial<UpstreamsOptions> = {},
): Promise<OpenUpstream> {
  const all = await openUpstreams({
    environment: {},
    ...besides,
    upstreams: [{ name: 'up.test', ...options, limits: { ...limits, ...options.limits } }],
  })
  const upstream = all.find(options.name ?? 'up.test')
  if (upstream === undefined) throw new Error('the upstream was not opened')
  return { upstream, [Symbol.asyncDispose]: () => all[Symbol.asyncDispose]() }
}

/** All that a blob's chunks hold. */
export async function readAll(chunks: AsyncIterable<Uint8Array> | undefined): Promise<Buffer> {
  if (chunks === undefined) throw new Error('there is no blob')
  return Buffer.concat(await Array.fromAsync(chunks))
}

/** The error that a promise ends with. */
export async function failureOf(work: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await work
  } catch (error) {
    return error as Error & Record<string, unknown>
  }
  throw new Error('it did not fail')
}

/** A clock that stands still until it is told to go on. */
export function testClock(): Clock & { pass(ms: number): void } {
  let nowMs = Date.UTC(2026, 0, 1)
  return {
    now: () => nowMs,
    sleep: async () => undefined,
    pass(ms) {
      nowMs += ms
    },
  }
}

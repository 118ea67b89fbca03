/** A blob of a mirrored repository as the exchange reads it from outside. */
import { CodedError } from '../../src/base/base.ts'
import type { Origin, Wanted } from '../../src/exchange/exchange.ts'
import { upstreamOf, withoutUpstream } from '../../src/oci/oci.ts'
import { type Upstream, type Upstreams, UpstreamUnavailableError } from '../../src/upstream/upstream.ts'

export function originOf(upstream: Upstream, { repository, digest }: Wanted): Origin {
  const there = withoutUpstream(repository)
  return { open: (start, { signal }) => upstream.openBlob(there, digest, { start, signal }) }
}

/** The upstream of a mirrored repository, if this node may give what it has to anyone. */
export function sharedUpstream(upstreams: Upstreams, { repository }: Wanted): Upstream | undefined {
  const upstream = upstreams.find(upstreamOf(repository) ?? '')
  return upstream?.isShared === true ? upstream : undefined
}

/** Why a blob could not be brought, in the words for whoever waits for it; `undefined` for what is not the upstream's fault. */
export function asUnavailable(name: string, error: unknown): UpstreamUnavailableError | undefined {
  if (error instanceof UpstreamUnavailableError) return error
  if (!(error instanceof CodedError)) return undefined
  if (error.code === 'ORIGIN_FAILED') {
    return new UpstreamUnavailableError(name, 'unreachable', 'broke off, or sent nothing any more', {
      cause: error,
    })
  }
  if (error.code === 'BLOB_UNPROVEN') {
    return new UpstreamUnavailableError(name, 'wrong', 'sent bytes that do not have the digest', {
      cause: error,
    })
  }
  return undefined
}

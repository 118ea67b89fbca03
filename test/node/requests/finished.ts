/** Requests that are over, as a tracer hands them on. */
import type { IncomingMessage } from 'node:http'
import type { FinishedRequest } from '../../../node/requests/request-tracer.ts'
import type { Origins, Pulled } from '../../../src/base/base.ts'

export const digest = `sha256:${'a'.repeat(64)}`
/** The start of all of them. */
export const startMs = 1_700_000_000_000

const nobody: Origins = { local: 0, upstream: 0, peers: new Map() }

export function finished(
  facts: Partial<FinishedRequest> = {},
  request: { method?: string; url?: string; headers?: Record<string, string> } = {},
): FinishedRequest {
  const incoming = {
    method: 'GET',
    url: '/v2/',
    headers: {},
    socket: { remoteAddress: '127.0.0.1', remotePort: 4711 },
    ...request,
  }
  return {
    // Of all that a request has, listeners read these fields.
    request: incoming as unknown as IncomingMessage,
    route: 'base',
    client: '127.0.0.1',
    status: 200,
    error: undefined,
    startMs,
    endMs: startMs + 100,
    stages: [],
    pull: undefined,
    push: undefined,
    deletion: undefined,
    account: undefined,
    ...facts,
  }
}

export function blobPull(origins: Partial<Origins>, facts: Partial<Pulled> = {}): Pulled {
  return {
    kind: 'blob',
    repository: 'team/app',
    reference: digest,
    digest,
    mediaType: 'application/octet-stream',
    size: 100,
    origins: { ...nobody, ...origins },
    isComplete: true,
    ...facts,
  }
}

export function manifestPull(origins: Partial<Origins>): Pulled {
  return blobPull(origins, {
    kind: 'manifest',
    reference: '1.0',
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
  })
}

/** What clients change, and what they were not let do, told to the audit log. */
import { SignInError } from '../../src/access/access.ts'
import { OciError } from '../../src/oci/oci.ts'
import type { FinishedRequest, RequestListener } from '../requests/request-tracer.ts'
import type { AuditLog } from './audit-log.ts'
import { openRefusalLog } from './refusals.ts'

export interface AuditedRequests extends Disposable {
  readonly listener: RequestListener
}

/** Of a path, which a client may make as long as a head can be. */
const maxPathLength = 300

export function auditRequests(audit: AuditLog): AuditedRequests {
  const refusals = openRefusalLog(audit)
  return {
    listener({ push, deletion, account, client = 'gone', error, request }: FinishedRequest) {
      const who = { account, from: client }
      if (push !== undefined) {
        const { kind, repository, digest, tags, isMount } = push
        const names = tags.length === 0 ? {} : { tags }
        audit.write({ action: isMount ? 'mount' : 'push', ...who, kind, repository, digest, ...names })
      } else if (deletion !== undefined) {
        const { kind, repository, reference } = deletion
        audit.write({ action: 'delete', ...who, kind, repository, reference })
      } else if (error instanceof SignInError)
        refusals.write({ action: 'sign-in refused', account: error.account, from: client, code: error.code })
      else if (account !== undefined && error instanceof OciError && error.code === 'DENIED') {
        const path = (request.url ?? '').replace(/\?.*/s, '').slice(0, maxPathLength)
        refusals.write({ action: 'denied', ...who, method: request.method, path })
      }
    },
    [Symbol.dispose]: () => refusals[Symbol.dispose](),
  }
}

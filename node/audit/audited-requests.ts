/** What clients change, and those who were not let in, told to the audit log. */
import { SignInError } from '../../src/access/access.ts'
import type { FinishedRequest, RequestListener } from '../requests/request-tracer.ts'
import type { AuditLog } from './audit-log.ts'

/** Who guesses can cause one at will; the rest of a second is one line with their number. */
const refusalsPerSecond = 10

export interface AuditedRequests extends Disposable {
  readonly listener: RequestListener
}

export function auditRequests(audit: AuditLog): AuditedRequests {
  let refused = 0
  let second: NodeJS.Timeout | undefined

  const endSecond = (): void => {
    clearTimeout(second)
    second = undefined
    const more = refused - refusalsPerSecond
    refused = 0
    if (more > 0) audit.write({ action: 'sign-in refused', from: 'several', more })
  }

  function writeRefusal({ account, code }: SignInError, from: string): void {
    second ??= setTimeout(endSecond, 1000).unref()
    if (++refused <= refusalsPerSecond) audit.write({ action: 'sign-in refused', account, from, code })
  }

  return {
    listener({ push, deletion, account, client = 'gone', error }: FinishedRequest) {
      const who = { account, from: client }
      if (push !== undefined) {
        const { kind, repository, digest, tags, isMount } = push
        const names = tags.length === 0 ? {} : { tags }
        audit.write({ action: isMount ? 'mount' : 'push', ...who, kind, repository, digest, ...names })
      } else if (deletion !== undefined) {
        const { kind, repository, reference } = deletion
        audit.write({ action: 'delete', ...who, kind, repository, reference })
      } else if (error instanceof SignInError) writeRefusal(error, client)
    },
    [Symbol.dispose]: endSecond,
  }
}

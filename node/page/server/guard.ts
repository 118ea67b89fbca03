/** Who may talk to the page: the names it answers to, pages it listens to, and what a browser may do with what it gets. */
import type { Context, Middleware } from 'koa'
import { type Hosts, hostOf, isCrossSite } from '../../../src/http/http.ts'
import { PageError } from './page-error.ts'

const headers = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
}

/** Throws PageError for whom it does not let in. */
export function guard(hosts: Hosts): Middleware {
  return async (context, next) => {
    context.set(headers)
    const refusal = hosts.refusal(context.req)
    if (refusal !== undefined) throw new PageError('HOST', 421, refusal)
    await next()
  }
}

/** Throws PageError for a request that another site's page makes. */
export function refuseOtherSites(context: Context): void {
  if (isCrossSite(context.headers))
    throw new PageError('OTHER_SITE', 403, 'only the page itself may ask this')
}

/** Whether the reader's browser runs on this machine, as the name it used says. */
export function isLoopbackHost(header: string): boolean {
  const host = hostOf(header)
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host ?? '')
}

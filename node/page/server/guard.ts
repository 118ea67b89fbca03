/** Who may talk to the page: hosts it answers to, origins it listens to, and what a browser may do with what it gets. */
import { isIP } from 'node:net'
import type { Context, Middleware } from 'koa'
import { PageError } from './page-error.ts'

export interface GuardOptions {
  /** Host names that lead here, besides localhost and every IP address. */
  hosts: readonly string[]
}

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
export function guard({ hosts }: GuardOptions): Middleware {
  const known = new Set(['localhost', ...hosts.map((host) => host.toLowerCase())])
  return async (context, next) => {
    context.set(headers)
    const host = hostOf(context.get('Host'))
    // A name that an attacker owns can be made to lead here (DNS rebinding); an address cannot.
    if (host === undefined || (isIP(host) === 0 && !known.has(host))) {
      throw new PageError(
        'HOST',
        421,
        `this node does not answer to the name "${(host ?? '').slice(0, 100)}"; use its address, or start it with --page-host`,
      )
    }
    await next()
  }
}

/** Throws PageError for a request that another site's page makes. */
export function refuseOtherSites(context: Context): void {
  const site = context.get('Sec-Fetch-Site')
  if (site !== '' && site !== 'same-origin' && site !== 'none') throw otherSite()
  const origin = context.get('Origin')
  if (origin !== '' && origin !== `${context.protocol}://${context.get('Host')}`) throw otherSite()
}

/** Whether the reader's browser runs on this machine, as the name it used says. */
export function isLoopbackHost(header: string): boolean {
  const host = hostOf(header)
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host ?? '')
}

function otherSite(): PageError {
  return new PageError('OTHER_SITE', 403, 'only the page itself may ask this')
}

/** Without the port, the brackets and the final dot, in lower case; `undefined` for what is no host. */
function hostOf(header: string): string | undefined {
  const [, address, name] =
    /^(?:\[([0-9a-fA-F:.]{2,45})\]|([a-zA-Z0-9._-]{1,253}))(?::\d{1,5})?$/.exec(header) ?? []
  return address ?? name?.toLowerCase().replace(/\.$/, '')
}

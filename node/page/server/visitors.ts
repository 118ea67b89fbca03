/**
 * Who looks at the page, and what they may. Whoever signed in is known by two secrets together: a cookie, which scripts cannot
 * read but every port of a host is sent and can set, and a header, which only the page of this very port can know.
 */
import type { Context } from 'koa'
import { type Access, type Asker, anonymous, type SessionSecrets } from '../../../src/access/access.ts'
import { clientOf } from '../../../src/http/http.ts'
import type { Repository } from '../../../src/oci/oci.ts'
import type { AccessRight } from '../../../src/records/records.ts'
import { isLoopbackHost } from './guard.ts'
import { PageError } from './page-error.ts'

export interface Visitor {
  /** Of the account; absent for who did not sign in. */
  readonly name: string | undefined
  readonly groups: readonly string[]
  /** Whether this is somebody to whom accounts and rules are shown. */
  readonly administers: boolean
  /** Whether invitations are shown, and hosts let in. */
  readonly admits: boolean
  /** Whether this is somebody to whom it is told which members there are: who lets hosts in, or may read everything. */
  readonly knowsMembers: boolean
  may(repository: Repository, right: AccessRight): boolean
  mayEverywhere(right: AccessRight): boolean
  maySomewhere(right: AccessRight): boolean
}

/** Which member wrote it, for who may know that. */
export function authorFor(visitor: Visitor, { author }: { author?: string }): { author?: string } {
  return visitor.knowsMembers && author !== undefined ? { author } : {}
}

export const sessionHeader = 'X-Shoal-Session'
/** More cookies of one name are somebody's mischief. */
const maxCookies = 8

export class Visitors {
  readonly #access: Access

  constructor(access: Access) {
    this.#access = access
  }

  /** Whether there is anybody who could sign in. */
  get canSignIn(): boolean {
    return this.#access.isOn
  }

  of(context: Context): Visitor {
    for (const secrets of secretsOf(context)) {
      const asker = this.#access.askerOfSession(secrets)
      if (asker !== undefined) return this.#visitor(asker)
    }
    return this.#visitor(anonymous)
  }

  /** Throws SignInError, and PageError where a password would cross the network as it is. */
  async check(context: Context, { name, password }: { name: string; password: string }): Promise<Asker> {
    if (!this.canSignIn)
      throw new PageError('NO_ACCOUNTS', 404, 'there are no accounts; make one with shoal account add NAME')
    // What is signed without having heard of a change would stand above it.
    const { outdated } = this.#access
    if (outdated !== undefined) throw new PageError('UNAVAILABLE', 503, outdated)
    if (!isProtected(context))
      throw new PageError(
        'UNPROTECTED',
        403,
        'a password would cross the network as it is; start the node with --tls self, or use the page on its own host',
      )
    const basic = `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
    return await this.#access.identify(basic, clientOf(context.req))
  }

  /** The secret for the page; the other one goes into a cookie. What the browser had before is worth nothing from then on. */
  async signIn(context: Context, given: { name: string; password: string }): Promise<{ seal: string }> {
    const secrets = this.#access.openSession(await this.check(context, given))
    if (secrets === undefined) throw new PageError('UNAUTHORIZED', 401, 'the name or the password is missing')
    this.#close(context)
    setCookie(context, secrets.id)
    return { seal: secrets.seal }
  }

  signOut(context: Context): void {
    this.#close(context)
    setCookie(context, '', 'Max-Age=0')
  }

  #close(context: Context): void {
    for (const secrets of secretsOf(context)) this.#access.closeSession(secrets)
  }

  #visitor(asker: Asker): Visitor {
    const access = this.#access
    const admits = access.mayInCluster(asker, 'members')
    return {
      name: asker.name,
      groups: asker.names.flatMap((name) => (name.startsWith('group:') ? [name.slice('group:'.length)] : [])),
      administers: access.mayInCluster(asker, 'admin'),
      admits,
      knowsMembers: admits || access.mayEverywhere(asker, 'pull'),
      may: (repository, right) => access.may(asker, repository, right),
      mayEverywhere: (right) => access.mayEverywhere(asker, right),
      maySomewhere: (right) => access.maySomewhere(asker, right),
    }
  }
}

/** Each with the cookie's and the page's part; of several cookies of the name at most one is right. */
function secretsOf(context: Context): SessionSecrets[] {
  const seal = context.get(sessionHeader)
  const { cookie = '' } = context.headers
  if (!isSecret(seal)) return []
  const name = `${cookieName(context)}=`
  return cookie
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(name) && isSecret(pair.slice(name.length)))
    .slice(0, maxCookies)
    .map((pair) => ({ id: pair.slice(name.length), seal }))
}

function isSecret(text: string): boolean {
  return /^[\w-]{43}$/.test(text)
}

/** Two nodes of one host would overwrite each other's, as cookies know no ports. */
function cookieName({ req }: Context): string {
  return `shoal-${req.socket.localPort ?? 0}`
}

function setCookie(context: Context, id: string, ...more: string[]): void {
  const secure = isTls(context) ? ['Secure'] : []
  const parts = [
    `${cookieName(context)}=${id}`,
    'Path=/api',
    'HttpOnly',
    'SameSite=Strict',
    ...secure,
    ...more,
  ]
  context.append('Set-Cookie', parts.join('; '))
}

/** Here, or at the proxy that says so. */
function isTls(context: Context): boolean {
  return 'encrypted' in context.req.socket || context.get('X-Forwarded-Proto') === 'https'
}

function isProtected(context: Context): boolean {
  return isTls(context) || isLoopbackHost(context.get('Host'))
}

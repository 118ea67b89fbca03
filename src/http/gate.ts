/**
 * Who asks, and whether they may: the one place through which every route of the registry goes. What somebody may not read is
 * refused before anything is looked up, so that what is missing and what is hidden are refused alike.
 */
import type { Access, AccessRight, Asker } from '../access/access.ts'
import { OciError, type Repository } from '../oci/oci.ts'
import type { Registry } from '../registry/registry.ts'
import { clientOf, decidesByVersionCheck, isDocker } from './client.ts'
import type { Exchange, Visitor } from './exchange.ts'
import { hostOf } from './hosts.ts'
import type { NamedRoute } from './names.ts'
import type { RouteName } from './route.ts'

/** Deletion is a right of its own (CVE-2026-61833); giving up an upload is part of it. */
const rights: { [N in NamedRoute['name']]: Partial<Record<string, AccessRight>> } = {
  tags: { GET: 'pull' },
  referrers: { GET: 'pull' },
  manifest: { GET: 'pull', PUT: 'push', DELETE: 'delete' },
  blob: { GET: 'pull', DELETE: 'delete' },
  uploads: { POST: 'push' },
  upload: { GET: 'push', PATCH: 'push', PUT: 'push', DELETE: 'push' },
}

/** `method` is GET for HEAD. */
export function rightOf({ name }: NamedRoute, method: string): AccessRight {
  const right = rights[name][method]
  if (right === undefined) throw new Error(`nobody has said who may ${method} ${name}`)
  return right
}

interface Wanted {
  /** As the client wrote it. */
  asked: Repository
  repository: Repository
  right: AccessRight
}

/**
 * Lets the request go on or throws `UNAUTHORIZED`, `DENIED`, `TOOMANYREQUESTS` or `UNAVAILABLE`. No promise where nobody has to be waited for.
 */
export function admit(exchange: Exchange, wanted: Wanted, { naming }: Registry): Promise<void> | undefined {
  const { access } = exchange
  if (access?.isOn !== true) return undefined
  refuseOutdated(access)
  const authorization = exchange.header('authorization')
  const { repository, right } = wanted
  if (authorization !== undefined && naming.isMirrored(repository)) {
    // Clients send mirrors credentials of the registry that is mirrored: these are nobody's here.
    const asker = access.recall(authorization)
    if (access.may(asker, repository, right)) return enter(exchange, access, asker, wanted)
  }
  const asker = identify(exchange, access)
  return asker instanceof Promise
    ? asker.then((found) => enter(exchange, access, found, wanted))
    : enter(exchange, access, asker, wanted)
}

/**
 * Before it is found out, of members too, which of two a name means: how long that takes would tell who may read neither. Who may
 * read the cluster's own alone means that.
 */
export async function admitToEither(
  exchange: Exchange,
  asked: Repository,
  { own, otherwise }: { own: Repository; otherwise: Repository },
): Promise<'own' | 'either'> {
  const { access } = exchange
  if (access === undefined) return 'either'
  refuseOutdated(access)
  const authorization = exchange.header('authorization')
  if (access.may(access.recall(authorization), otherwise, 'pull')) return 'either'
  const asker = await identify(exchange, access)
  if (access.may(asker, otherwise, 'pull')) return 'either'
  enter(exchange, access, asker, { asked, repository: own, right: 'pull' })
  return 'own'
}

/** Before credentials are looked at, which were perhaps revoked. */
function refuseOutdated({ outdated }: Access): void {
  if (outdated !== undefined) throw new OciError('UNAVAILABLE', outdated)
}

/** Who asks. Throws SignInError. No promise, and little else, where the connection has shown the same before. */
function identify(exchange: Exchange, access: Access): Asker | Promise<Asker> {
  const authorization = exchange.header('authorization')
  if (authorization === undefined) return access.recall(undefined)
  const { request } = exchange
  const known = access.recallOn(request.socket, authorization)
  return known ?? access.identify(authorization, clientOf(request), request.socket)
}

function enter(
  exchange: Exchange,
  access: Access,
  asker: Asker,
  { asked, repository, right }: Wanted,
): undefined {
  remember(exchange, access, asker)
  if (access.may(asker, repository, right)) return undefined
  const missing = right === 'pull' ? ', or there is no such repository' : ''
  if (asker.name === undefined) throw new OciError('UNAUTHORIZED', `sign in to ${right} ${asked}`)
  throw new OciError('DENIED', `${asker.name} may not ${right} ${asked}${missing}`)
}

/** Of routes about no repository. */
export async function admitTo(exchange: Exchange, route: RouteName): Promise<void> {
  const { access } = exchange
  if (access?.isOn !== true || route === 'token' || route === 'v1-ping') return
  refuseOutdated(access)
  const authorization = exchange.header('authorization')
  const asker = await identify(exchange, access)
  remember(exchange, access, asker)
  if (asker.name !== undefined) return
  const mayNothing = !maySomething(access, asker)
  // These clients show no credentials later where this answer did not ask for them; what they show when they have none says so.
  const decidesHere =
    route === 'base' && authorization === undefined && decidesByVersionCheck(exchange.request.headers)
  if (mayNothing || decidesHere) throw new OciError('UNAUTHORIZED', 'sign in to this registry')
}

function remember(exchange: Exchange, access: Access, asker: Asker): void {
  const visitor: Visitor = {
    name: asker.name,
    may: (repository, right) => access.may(asker, repository, right),
  }
  exchange.visitor = visitor
  if (asker.name !== undefined) exchange.trace.signedIn(asker.name)
}

function maySomething(access: Access, asker: Asker): boolean {
  return (['pull', 'push', 'delete'] as const).some((right) => access.maySomewhere(asker, right))
}

/**
 * What goes with a refusal for want of credentials. Docker gives up at a Basic challenge when it has none; where something is
 * open to everybody it gets a token for nobody instead.
 */
export function challengeTo(exchange: Exchange, error: unknown): Record<string, string> {
  const { access } = exchange
  if (!(error instanceof OciError) || error.code !== 'UNAUTHORIZED' || access === undefined) return {}
  const realm = realmOf(exchange)
  const isOpen = maySomething(access, access.recall(undefined))
  if (!isOpen || realm === undefined || !isDocker(exchange.request.headers))
    return { 'WWW-Authenticate': 'Basic realm="shoal"' }
  return { 'WWW-Authenticate': `Bearer realm="${realm}",service="shoal"` }
}

/** Where tokens are given, by the name that the client used. */
function realmOf({ request }: Exchange): string | undefined {
  const { host = '', 'x-forwarded-proto': forwarded } = request.headers
  const isTls = 'encrypted' in request.socket || forwarded === 'https'
  return hostOf(host) === undefined ? undefined : `${isTls ? 'https' : 'http'}://${host}/token`
}

/** https://distribution.github.io/distribution/spec/auth/token/: one for who signs in, and one for who does not. */
export async function sendToken(exchange: Exchange): Promise<void> {
  const { access } = exchange
  if (access?.isOn !== true) throw new OciError('NAME_UNKNOWN', 'nobody has to sign in here')
  refuseOutdated(access)
  const { token, seconds } = access.issueToken(await askerOfToken(exchange, access))
  exchange.sendJson(200, { token, access_token: token, expires_in: seconds }, { 'Cache-Control': 'no-store' })
}

async function askerOfToken(exchange: Exchange, access: Access): Promise<Asker> {
  try {
    // A token gives no other, or who stole one would have it for ever.
    if (/^bearer /i.test(exchange.header('authorization') ?? ''))
      throw new OciError('UNAUTHORIZED', 'sign in with a name and a password to get a token')
    return await identify(exchange, access)
  } catch (error) {
    // A mirror is shown the credentials of what it mirrors, and the name in the scope does not say which that is.
    const isPull = /^repository:[^ ]+:pull$/.test(exchange.param('scope') ?? '')
    // Nor are they looked at after many: who pulls by them needs no account. Whose name it is makes no difference, or it would tell.
    const isRefused =
      error instanceof OciError && (error.code === 'UNAUTHORIZED' || error.code === 'TOOMANYREQUESTS')
    if (isRefused && isPull) return access.recall(undefined)
    throw error
  }
}

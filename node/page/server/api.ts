/** The page's API: a path becomes an answer in JSON, an error a status with words. Every answer is bounded. */
import type { Context } from 'koa'
import { SignInError } from '../../../src/access/access.ts'
import { CodedError, type Logger, logFailure } from '../../../src/base/base.ts'
import { leaveBody } from '../../../src/http/http.ts'
import { OciError } from '../../../src/oci/oci.ts'
import type { ErrorAnswer } from '../answers/answer.ts'
import type { HourAnswer } from '../answers/hour.ts'
import type { TagsAnswer } from '../answers/images.ts'
import { type Change, nameOf } from './changes.ts'
import { refuseOtherSites } from './guard.ts'
import { describeImage } from './image.ts'
import { mayWatch } from './live.ts'
import { PageError } from './page-error.ts'
import type { PageParts } from './parts.ts'
import { Query } from './query.ts'
import { textOf } from './same-origin.ts'
import { search } from './search.ts'
import { describeUpstreams } from './upstreams.ts'
import type { Visitor } from './visitors.ts'

interface Question {
  context: Context
  visitor: Visitor
  query: Query
  signal: AbortSignal
}

/**
 * For whom an answer is: everybody, who may read some images, who may read all, who administers accounts, who lets hosts in, or who
 * may know the members.
 */
type Audience = 'all' | 'readers' | 'overseers' | 'administrators' | 'admitters' | 'acquainted'

const statuses: Record<string, number> = {
  NAME_INVALID: 400,
  TAG_INVALID: 400,
  DIGEST_INVALID: 400,
  UNAUTHORIZED: 401,
  NAME_UNKNOWN: 404,
  MANIFEST_UNKNOWN: 404,
  BLOB_UNKNOWN: 404,
  MANIFEST_INVALID: 422,
  ACCOUNT: 422,
  MEMBER: 422,
  INVITATION: 422,
  BAN_OF_SELF: 422,
  EVICTION_REFUSED: 422,
  KEEP_RULE: 422,
  RULE_UNKNOWN: 422,
  DENIED: 403,
  NOT_PERMITTED: 403,
  REQUEST_TIMEOUT: 408,
  TOOMANYREQUESTS: 429,
  UNSUPPORTED: 405,
  UNAVAILABLE: 503,
  CLOCK_WRONG: 503,
  NOT_RUNNING: 503,
  CLOSING: 503,
  DATABASE_FAULT: 503,
  STORE_FULL: 507,
  NO_SPACE: 507,
  QUOTA_EXCEEDED: 422,
}

/** Runs `before`, which lets the request in and may answer it, and then what the path stands for. */
export function createApi(parts: PageParts) {
  const { node, clock, visitors, sameOrigin, listing, live, changes, accounts, members } = parts
  const { storage, rules, doctor, logger } = parts
  const reads: Record<string, [Audience, (question: Question) => unknown]> = {
    '/api/me': ['all', ({ visitor }) => accounts.me(visitor)],
    '/api/token': ['all', () => ({ token: sameOrigin.token })],
    '/api/explain': ['all', ({ visitor, query, signal }) => accounts.explain(visitor, query, signal)],
    '/api/repositories': ['readers', ({ query, visitor }) => listing.repositories(query, visitor)],
    '/api/tags': [
      'readers',
      async ({ context, query, visitor }): Promise<TagsAnswer> => {
        const rows = await listing.tags(query, visitor)
        const undeletable = changes.refusalToDelete(context, visitor, query.repository())
        return { ...rows, ...(undeletable === undefined ? {} : { undeletable }) }
      },
    ],
    '/api/search': ['readers', ({ query, ...asked }) => search(node.names, listing, query.typed(), asked)],
    '/api/image': [
      'readers',
      ({ context, query, visitor, signal }) =>
        describeImage(node, query, {
          visitor,
          signal,
          mayFree: changes.refusalToFree(context, visitor) === undefined,
          untaggable: changes.refusalToTag(context, visitor),
          undeletableIn: (repository) => changes.refusalToDelete(context, visitor, repository),
        }),
    ],
    '/api/storage': ['overseers', ({ signal }) => storage.report({ signal })],
    '/api/hour': ['overseers', (): HourAnswer => ({ ...node.lastHour(), nowMs: clock.now() })],
    '/api/doctor': ['overseers', ({ signal }) => doctor.report({ signal })],
    '/api/keep': [
      'overseers',
      async ({ context, visitor, signal }) => ({
        ...(await rules.report({ signal })),
        mayChange: changes.refusalToFree(context, visitor) === undefined,
      }),
    ],
    '/api/upstreams': ['overseers', ({ signal }) => describeUpstreams(node, { signal })],
    '/api/members': ['acquainted', ({ signal }) => members.list(signal)],
    '/api/invitations': ['admitters', ({ signal }) => members.invitations(signal)],
    '/api/accounts': ['administrators', ({ query, signal }) => accounts.list(query, signal)],
    '/api/access': ['administrators', () => accounts.rules()],
  }
  const writes: Record<string, [Audience, (change: Change) => unknown]> = {
    '/api/sign-in': ['all', signIn],
    '/api/sign-out': ['all', ({ context }) => signOut(context)],
    '/api/own-password': ['all', (change) => accounts.changeOwnPassword(change)],
    '/api/delete-tag': ['readers', (change) => changes.deleteTag(change)],
    '/api/tag': ['readers', (change) => changes.tag(change)],
    '/api/warm': ['overseers', (change) => changes.warm(change)],
    '/api/keep-add': ['overseers', (change) => changes.keep(change)],
    '/api/keep-rm': ['overseers', (change) => changes.endKeeping(change)],
    '/api/evict': ['overseers', (change) => changes.evict(change)],
    '/api/collect': ['overseers', (change) => changes.collect(change)],
    '/api/account-add': ['administrators', (change) => accounts.add(change)],
    '/api/account-robot': ['administrators', (change) => accounts.addRobot(change)],
    '/api/account-renew': ['administrators', (change) => accounts.renew(change)],
    '/api/account-password': ['administrators', (change) => accounts.setPassword(change)],
    '/api/account-groups': ['administrators', (change) => accounts.setGroups(change)],
    '/api/account-disable': ['administrators', (change) => accounts.disable(change)],
    '/api/account-rm': ['administrators', (change) => accounts.remove(change)],
    '/api/member-approve': ['admitters', (change) => members.approve(change)],
    '/api/member-ban': ['admitters', (change) => members.ban(change)],
    '/api/member-forget': ['admitters', (change) => members.forget(change)],
    '/api/member-rename': ['admitters', (change) => members.rename(change)],
    '/api/token-create': ['admitters', (change) => members.invite(change)],
    '/api/token-revoke': ['admitters', (change) => members.revoke(change)],
  }

  async function signIn({ context, body }: Change): Promise<unknown> {
    const given = { name: textOf(body, 'name'), password: textOf(body, 'password') }
    const signedIn = await visitors.signIn(context, given)
    logger.info({ client: context.req.socket.remoteAddress }, 'somebody signed in on the page')
    return signedIn
  }

  function signOut(context: Context): { signedOut: true } {
    visitors.signOut(context)
    return { signedOut: true }
  }

  async function answer(context: Context): Promise<void> {
    refuseOtherSites(context)
    context.set('Cache-Control', 'no-store')
    const { method, path } = context
    const isRead = method === 'GET' || method === 'HEAD'
    const visitor = visitors.of(context)
    const query = new Query(context.querystring)
    if (path === '/api/live' && method === 'GET') {
      if (!mayWatch(visitor)) throw signInFirst(visitor)
      live.attend(context, { blob: query.blob(), visitor: () => visitors.of(context) })
      return
    }
    const gone = new AbortController()
    context.res.once('close', () => gone.abort(new Error('the reader went away')))
    const { signal } = gone
    if (isRead) {
      context.body = await find(reads, context, visitor)({ context, visitor, query, signal })
      return
    }
    if (method === 'POST') sameOrigin.check(context)
    const change = find(method === 'POST' ? writes : {}, context, visitor)
    context.body = await change({ context, visitor, body: await sameOrigin.bodyOf(context), signal })
  }

  return async (context: Context, before: () => Promise<void>): Promise<void> => {
    try {
      await before()
      if (context.path.startsWith('/api/')) await answer(context)
    } catch (error) {
      if (error instanceof SignInError)
        node.refused(error.code, {
          from: `page ${context.req.socket.remoteAddress ?? ''}`.trim(),
          account: error.account,
        })
      if (context.res.destroyed) return
      const { status, body } = refusal(error, context, logger)
      leaveBody(context.req, context.res)
      if (error instanceof OciError && error.retryAfterMs !== undefined)
        context.set('Retry-After', String(Math.ceil(error.retryAfterMs / 1000)))
      context.status = status
      context.body = body
    }
  }
}

/** Throws PageError: of what is for those alone who govern nobody else learns that it is there. */
function find<A>(table: Record<string, [Audience, A]>, { method, path }: Context, visitor: Visitor): A {
  const [audience, answer] = (Object.hasOwn(table, path) ? table[path] : undefined) ?? []
  const isHidden =
    (audience === 'administrators' && !visitor.administers) || (audience === 'admitters' && !visitor.admits)
  if (answer === undefined || isHidden)
    throw new PageError('NOT_FOUND', 404, `the page knows no ${method} ${path}`)
  if (audience === 'readers' && !visitor.maySomewhere('pull')) throw signInFirst(visitor)
  if (audience === 'overseers' && !visitor.mayEverywhere('pull')) throw signInFirst(visitor)
  if (audience === 'acquainted' && !visitor.knowsMembers) throw signInFirst(visitor)
  return answer
}

function signInFirst(visitor: Visitor): PageError {
  if (visitor.name === undefined) return new PageError('SIGN_IN', 401, 'sign in to see this')
  return new PageError('CLOSED', 403, `${nameOf(visitor)} may not see this`)
}

function refusal(
  error: unknown,
  { method, path }: Context,
  logger: Logger,
): { status: number; body: ErrorAnswer } {
  const status =
    error instanceof PageError ? error.status : error instanceof CodedError ? statuses[error.code] : undefined
  if (status !== undefined && error instanceof CodedError) {
    return { status, body: { error: { code: error.code, message: error.message } } }
  }
  // What a manifest holds is its author's doing; the rest is this node's fault.
  if (error instanceof OciError)
    return { status: 400, body: { error: { code: error.code, message: error.message } } }
  logFailure(logger, error, 'a request of the page failed', { method, path })
  return {
    status: 500,
    body: { error: { code: 'FAILED', message: 'this node failed to answer; its log says why' } },
  }
}

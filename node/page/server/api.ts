/** The page's API: a path becomes an answer in JSON, an error a status with words. Every answer is bounded. */
import type { Context } from 'koa'
import { CodedError, type Logger, logFailure } from '../../../src/base/base.ts'
import { leaveBody } from '../../../src/http/http.ts'
import { OciError } from '../../../src/oci/oci.ts'
import type { ErrorAnswer } from '../answers.ts'
import type { PageNode } from '../page.ts'
import type { Changes } from './changes.ts'
import { refuseOtherSites } from './guard.ts'
import { describeImage } from './image.ts'
import type { PageListing } from './listing.ts'
import type { Live } from './live.ts'
import { PageError } from './page-error.ts'
import { Query } from './query.ts'
import type { RuleReports } from './rules.ts'
import { search } from './search.ts'
import type { StorageReports } from './storage.ts'
import { describeUpstreams } from './upstreams.ts'

export interface ApiOptions {
  node: PageNode
  listing: PageListing
  live: Live
  changes: Changes
  storage: StorageReports
  rules: RuleReports
  logger: Logger
}

type Answer = (context: Context, query: Query, options: { signal: AbortSignal }) => Promise<unknown>

const statuses: Record<string, number> = {
  NAME_INVALID: 400,
  TAG_INVALID: 400,
  DIGEST_INVALID: 400,
  NAME_UNKNOWN: 404,
  MANIFEST_UNKNOWN: 404,
  BLOB_UNKNOWN: 404,
  MANIFEST_INVALID: 422,
  DENIED: 403,
  REQUEST_TIMEOUT: 408,
  UNSUPPORTED: 405,
  UNAVAILABLE: 503,
  NOT_RUNNING: 503,
  CLOSING: 503,
  DATABASE_FAULT: 503,
  STORE_FULL: 507,
}

/** Runs `before`, which lets the request in and may answer it, and then what the path stands for. */
export function createApi({ node, listing, live, changes, storage, rules, logger }: ApiOptions) {
  const reads: Record<string, Answer> = {
    '/api/repositories': (_context, query) => listing.repositories(query),
    '/api/tags': (_context, query) => listing.tags(query),
    '/api/search': (_context, query, options) => search(node.names, listing, query.typed(), options),
    '/api/image': (context, query, options) =>
      describeImage(node, query, { ...options, undeletable: changes.refusalToDelete(context) }),
    '/api/storage': (_context, _query, options) => storage.report(options),
    '/api/keep': (_context, _query, options) => rules.report(options),
    '/api/upstreams': (_context, _query, options) => describeUpstreams(node, options),
    '/api/policy': (_context, _query, options) => node.operate('policy-show', {}, options),
    '/api/token': async (context) => ({ token: changes.token, refusal: changes.refusal(context) ?? null }),
  }
  const writes: Record<string, Answer> = {
    '/api/delete-tag': (context, _query, options) => changes.deleteTag(context, options),
    '/api/collect': (context, _query, options) => changes.collect(context, options),
  }

  async function answer(context: Context): Promise<void> {
    refuseOtherSites(context)
    context.set('Cache-Control', 'no-store')
    const isRead = context.method === 'GET' || context.method === 'HEAD'
    if (context.path === '/api/live' && context.method === 'GET') {
      live.attend(context, new Query(context.querystring).blob())
      return
    }
    const table = isRead ? reads : writes
    const found = Object.hasOwn(table, context.path) ? table[context.path] : undefined
    if (found === undefined || (!isRead && context.method !== 'POST')) {
      throw new PageError('NOT_FOUND', 404, `the page knows no ${context.method} ${context.path}`)
    }
    const gone = new AbortController()
    context.res.once('close', () => gone.abort(new Error('the reader went away')))
    context.body = await found(context, new Query(context.querystring), { signal: gone.signal })
  }

  return async (context: Context, before: () => Promise<void>): Promise<void> => {
    try {
      await before()
      if (context.path.startsWith('/api/')) await answer(context)
    } catch (error) {
      if (context.res.destroyed) return
      const { status, body } = refusal(error, context, logger)
      leaveBody(context.req, context.res)
      context.status = status
      context.body = body
    }
  }
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

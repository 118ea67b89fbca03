/** Which handler answers which route and method. */
import { OciError } from '../oci/oci.ts'
import type { Registry } from '../registry/registry.ts'
import { deleteBlob, getBlob } from './blobs.ts'
import type { Exchange } from './exchange.ts'
import { admit, admitTo, rightOf, sendToken } from './gate.ts'
import { listReferrers, listRepositories, listTags, search } from './listings.ts'
import { deleteManifest, getManifest, putManifest } from './manifests.ts'
import { findRepository, guessRefusal } from './names.ts'
import type { Route, RouteName } from './route.ts'
import { deleteUpload, getUpload, patchUpload, putUpload, startUpload } from './uploads.ts'

type Handler<N extends RouteName> = (
  registry: Registry,
  exchange: Exchange,
  route: Extract<Route, { name: N }>,
) => Promise<void> | void

/** HEAD is GET without a body. */
type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

const handlers: { [N in RouteName]: Partial<Record<Method, Handler<N>>> } = {
  base: { GET: (_registry, exchange) => exchange.sendJson(200, {}) },
  token: { GET: (_registry, exchange) => sendToken(exchange) },
  catalog: { GET: listRepositories },
  tags: { GET: listTags },
  manifest: { GET: getManifest, PUT: putManifest, DELETE: deleteManifest },
  blob: { GET: getBlob, DELETE: deleteBlob },
  uploads: { POST: startUpload },
  upload: { GET: getUpload, PATCH: patchUpload, PUT: putUpload, DELETE: deleteUpload },
  referrers: { GET: listReferrers },
  'v1-ping': { GET: (_registry, exchange) => exchange.sendJson(200, { standalone: true }) },
  'v1-search': { GET: search },
}

/** Throws `METHOD_UNSUPPORTED` where the route has no such method. */
export async function dispatch(registry: Registry, exchange: Exchange, route: Route): Promise<void> {
  const methods = handlers[route.name] as Partial<Record<string, Handler<RouteName>>>
  const method = exchange.request.method ?? ''
  const name = method === 'HEAD' ? 'GET' : method
  const handler = methods[name]
  if (handler === undefined) {
    const allowed = Object.keys(methods).flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name]))
    exchange.response.setHeader('Allow', allowed.join(', '))
    throw new OciError(
      'METHOD_UNSUPPORTED',
      `${method} is not a method of this path; it has ${allowed.join(', ')}`,
    )
  }
  if (!('repository' in route)) {
    await admitTo(exchange, route.name)
    await handler(registry, exchange, route)
    return
  }
  const found = findRepository(registry.naming, exchange, route, name)
  const { repository, isGuess } = found instanceof Promise ? await found : found
  const admitted = admit(
    exchange,
    { asked: route.repository, repository, right: rightOf(route, name) },
    registry,
  )
  if (admitted !== undefined) await admitted
  try {
    await handler(registry, exchange, repository === route.repository ? route : { ...route, repository })
  } catch (error) {
    throw isGuess ? guessRefusal(error, route.repository) : error
  }
}

/** The repository that a request means: a mirrored name or `?ns=` makes it another than its path says. */
import { OciError, type Repository } from '../oci/oci.ts'
import type { NamedRepository, Naming, Registry } from '../registry/registry.ts'
import type { Exchange } from './exchange.ts'
import type { Route } from './route.ts'

type NamedRoute = Extract<Route, { repository: Repository }>
type Serve = (route: NamedRoute) => Promise<void> | void

/** Serves the route under the name that it means. `method` is GET for HEAD. Throws as the registry's naming does. */
export async function serveNamed(
  { naming }: Registry,
  exchange: Exchange,
  route: NamedRoute,
  method: string,
  serve: Serve,
): Promise<void> {
  const { repository, isGuess } = await find(naming, exchange, route, method)
  const meant = repository === route.repository ? route : { ...route, repository }
  if (isGuess) await serveGuess(meant, route.repository, serve)
  else await serve(meant)
}

function find(
  naming: Naming,
  exchange: Exchange,
  route: NamedRoute,
  method: string,
): NamedRepository | Promise<NamedRepository> {
  const { host } = exchange.request.headers
  const asked = { repository: route.repository, ns: exchange.param('ns'), host }
  if (method === 'GET' && route.name !== 'upload') {
    return naming.forRead(asked, route.name === 'manifest' ? route.reference : undefined)
  }
  const deletes = method === 'DELETE' && route.name !== 'upload'
  return { repository: deletes ? naming.forDelete(asked) : naming.forPush(asked), isGuess: false }
}

/** The cluster has no such name, and that an upstream cannot say whether it has makes it no more than unknown. */
async function serveGuess(meant: NamedRoute, asked: Repository, serve: Serve): Promise<void> {
  try {
    await serve(meant)
  } catch (error) {
    if (!(error instanceof OciError) || !['UNAVAILABLE', 'TOOMANYREQUESTS'].includes(error.code)) throw error
    throw new OciError(
      'NAME_UNKNOWN',
      `there is no repository ${asked}, nor can it be mirrored: ${error.message}`,
      {
        cause: error,
      },
    )
  }
}

/** The repository that a request means: a mirrored name or `?ns=` makes it another than its path says. */
import { isUnavailable, OciError, type Repository } from '../oci/oci.ts'
import type { AskedName, NamedRepository, Naming } from '../registry/registry.ts'
import type { Exchange } from './exchange.ts'
import { admitToEither } from './gate.ts'
import type { Route } from './route.ts'

export type NamedRoute = Extract<Route, { repository: Repository }>

/** `method` is GET for HEAD. No promise for what every request of the cluster's own names is. Throws as the registry's naming does. */
export function findRepository(
  naming: Naming,
  exchange: Exchange,
  route: NamedRoute,
  method: string,
): NamedRepository | Promise<NamedRepository> {
  const { host } = exchange.request.headers
  const asked = { repository: route.repository, ns: exchange.param('ns'), host }
  if (route.name !== 'upload') {
    if (method === 'GET') return findToRead(naming, exchange, route, asked)
    if (method === 'DELETE') return naming.forDelete(asked)
  }
  return naming.forPush(asked)
}

function findToRead(
  naming: Naming,
  exchange: Exchange,
  route: NamedRoute,
  asked: AskedName,
): NamedRepository | Promise<NamedRepository> {
  const find = () => naming.forRead(asked, route.name === 'manifest' ? route.reference : undefined)
  const undecided = exchange.access?.isOn === true ? naming.undecided(asked) : undefined
  if (undecided === undefined) return find()
  return admitToEither(exchange, route.repository, undecided).then((mayBe) =>
    mayBe === 'own' ? { repository: undecided.own, isGuess: false } : find(),
  )
}

/** The cluster has no such name, and that an upstream cannot say whether it has makes it no more than unknown. */
export function guessRefusal(error: unknown, asked: Repository): unknown {
  const isDenied = error instanceof OciError && error.code === 'DENIED'
  if (!isUnavailable(error) && !isDenied) return error
  const message = `there is no repository ${asked}, nor can it be mirrored: ${error.message}`
  return new OciError('NAME_UNKNOWN', message, { cause: error })
}

/** The page's addresses: what stands behind the # and the view that it names. */

export type Route =
  | { view: 'overview' }
  | { view: 'repositories' }
  | { view: 'repository'; repository: string }
  | { view: 'image'; repository: string; reference: string }
  | { view: 'cluster' }
  | { view: 'members' }
  | { view: 'blob'; digest: string }
  | { view: 'storage' }
  | { view: 'keep' }
  | { view: 'upstreams' }
  | { view: 'accounts' }
  | { view: 'access' }
  | { view: 'account' }
  | { view: 'sign-in' }
  | { view: 'unknown' }

const plain = [
  'repositories',
  'cluster',
  'members',
  'storage',
  'keep',
  'upstreams',
  'accounts',
  'access',
  'account',
  'sign-in',
] as const

export function parseRoute(hash: string): Route {
  const path = hash.replace(/^#?\/?/, '')
  if (path === '') return { view: 'overview' }
  const view = plain.find((name) => name === path)
  if (view !== undefined) return { view }
  const [, kind, rest = ''] = /^(repository|image|blob)\/(.+)$/.exec(path) ?? []
  if (kind === 'repository') return { view: 'repository', repository: rest }
  if (kind === 'blob') return { view: 'blob', digest: rest }
  if (kind === 'image') {
    // A tag holds no slash, no colon and no @; a digest follows an @.
    const [, repository, tag, digest] = /^([^@:]+)(?::([^@:/]+)|@(.+))$/.exec(rest) ?? []
    const reference = tag ?? digest
    if (repository !== undefined && reference !== undefined) return { view: 'image', repository, reference }
  }
  return { view: 'unknown' }
}

export function hrefOf(route: Route): string {
  switch (route.view) {
    case 'overview':
    case 'unknown':
      return '#/'
    case 'repository':
      return `#/repository/${route.repository}`
    case 'image':
      return `#/image/${route.repository}${route.reference.includes(':') ? '@' : ':'}${route.reference}`
    case 'blob':
      return `#/blob/${route.digest}`
    default:
      return `#/${route.view}`
  }
}

/** The main heading's view that a route belongs to, for the navigation. */
export function sectionOf({ view }: Route): Route['view'] {
  if (view === 'repository' || view === 'image') return 'repositories'
  return view === 'blob' ? 'cluster' : view
}

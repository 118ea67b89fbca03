import { describe, expect, it } from 'vitest'
import { hrefOf, parseRoute, type Route, sectionOf } from '../../../../node/page/client/route.ts'

const digest = `sha256:${'a'.repeat(64)}`
const routes: Route[] = [
  { view: 'overview' },
  { view: 'repositories' },
  { view: 'repository', repository: 'docker.io/library/alpine' },
  { view: 'image', repository: 'team/app', reference: '1.0' },
  { view: 'image', repository: 'team/app', reference: digest },
  { view: 'blob', digest },
  { view: 'cluster' },
  { view: 'storage' },
  { view: 'keep' },
  { view: 'upstreams' },
  { view: 'accounts' },
  { view: 'access' },
  { view: 'account' },
  { view: 'sign-in' },
]

describe('an address of the page', () => {
  it.each(routes)('leads back to where it came from: %j', (route) => {
    expect(parseRoute(hrefOf(route))).toEqual(route)
  })

  it.each(['#/nowhere', '#/image/', '#/image/team/app', '#/image/a:b:c', '#/blob/'])(
    'names no view: %s',
    (hash) => {
      expect(parseRoute(hash)).toEqual({ view: 'unknown' })
    },
  )

  it('is the overview when it is empty, and belongs to a section', () => {
    expect(parseRoute('')).toEqual({ view: 'overview' })
    expect(sectionOf({ view: 'image', repository: 'a', reference: 'b' })).toBe('repositories')
    expect(sectionOf({ view: 'blob', digest })).toBe('cluster')
  })
})

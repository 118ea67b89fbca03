import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseRoute } from '../../src/http/route.ts'

const digest = `sha256:${'0'.repeat(64)}`

describe('parseRoute', () => {
  it.each([
    ['/v2/', { name: 'base' }],
    ['/v2', { name: 'base' }],
    ['/v2/_catalog', { name: 'catalog' }],
    ['/v2/a/tags/list', { name: 'tags', repository: 'a' }],
    ['/v2/a/b/manifests/latest', { name: 'manifest', repository: 'a/b', reference: { tag: 'latest' } }],
    [`/v2/a/manifests/${digest}`, { name: 'manifest', repository: 'a', reference: { digest } }],
    [
      `/v2/a/manifests/${digest.replace(':', '%3A')}`,
      { name: 'manifest', repository: 'a', reference: { digest } },
    ],
    [`/v2/a/blobs/${digest}`, { name: 'blob', repository: 'a', digest }],
    ['/v2/a/blobs/uploads/', { name: 'uploads', repository: 'a' }],
    ['/v2/a/blobs/uploads', { name: 'uploads', repository: 'a' }],
    ['/v2/a/blobs/uploads/some-id', { name: 'upload', repository: 'a', id: 'some-id' }],
    [`/v2/a/referrers/${digest}`, { name: 'referrers', repository: 'a', digest }],
    ['/v2/blobs/uploads/blobs/uploads/x', { name: 'upload', repository: 'blobs/uploads', id: 'x' }],
    ['/v2/manifests/tags/tags/list', { name: 'tags', repository: 'manifests/tags' }],
    ['/v1/_ping', { name: 'v1-ping' }],
    ['/v1/search', { name: 'v1-search' }],
  ])('reads %s', (path, route) => {
    expect(parseRoute(path)).toEqual(route)
  })

  it.each([
    '',
    '/',
    '/v3/',
    '/v2/a',
    '/v2/a/b',
    '/v2/a/tags',
    '/v2/a/tags/list/x',
    '/v1/',
    '/v1/images/x',
    'v2/',
  ])('knows no endpoint at %j', (path) => {
    expect(parseRoute(path)).toBeUndefined()
  })

  it.each([
    ['/v2//manifests/latest', 'NAME_INVALID'],
    ['/v2/a//b/manifests/latest', 'NAME_INVALID'],
    ['/v2/../manifests/latest', 'NAME_INVALID'],
    ['/v2/a/%2e%2e/b/manifests/latest', 'NAME_INVALID'],
    ['/v2/a%2fb/manifests/latest', 'NAME_INVALID'],
    ['/v2/A/manifests/latest', 'NAME_INVALID'],
    ['/v2/a/manifests/..', 'TAG_INVALID'],
    ['/v2/a/manifests/', 'TAG_INVALID'],
    ['/v2/a/manifests/%ff', 'NAME_INVALID'],
    ['/v2/a/manifests/sha256:abc', 'DIGEST_INVALID'],
    ['/v2/a/blobs/latest', 'DIGEST_INVALID'],
    ['/v2/a/blobs/..%2f..%2fetc%2fpasswd', 'NAME_INVALID'],
    ['/v2/tags/list', 'NAME_INVALID'],
  ])('refuses %s with %s', (path, code) => {
    expect(() => parseRoute(path)).toThrow(expect.objectContaining({ code }))
  })

  it('throws a refusal and nothing else, and never lets a dot-dot through', () => {
    const segment = fc.oneof(
      fc.constantFrom(
        'a',
        '..',
        '.',
        '',
        'blobs',
        'uploads',
        'manifests',
        'tags',
        'list',
        'referrers',
        digest,
        '%2e%2e',
        '%2f',
        '%',
      ),
      fc.string(),
    )
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 8 }), (segments) => {
        try {
          const route = parseRoute(`/v2/${segments.join('/')}`)
          if (route !== undefined && 'repository' in route)
            expect(route.repository).toMatch(/^[a-z0-9]+([._/-]+[a-z0-9]+)*$/)
        } catch (error) {
          expect(['NAME_INVALID', 'TAG_INVALID', 'DIGEST_INVALID']).toContain(
            (error as { code: string }).code,
          )
        }
      }),
    )
  })
})

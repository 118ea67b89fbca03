import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type NameContext, parseMirroredName, parseRepository } from '../../src/oci/oci.ts'

const upstreams = ['docker.io', 'quay.io']
const context = (more: Partial<NameContext> = {}): NameContext => ({
  isMirrored: (upstream) => upstreams.includes(upstream),
  mirrored: upstreams,
  host: 'localhost:5000',
  ...more,
})
const meaning = (name: string, more?: Partial<NameContext>) =>
  parseMirroredName(parseRepository(name), context(more))

describe('parseMirroredName', () => {
  it.each([
    ['docker.io/library/alpine', 'docker.io', 'docker.io/library/alpine'],
    ['docker.io/alpine', 'docker.io', 'docker.io/library/alpine'],
    ['docker.io/grafana/loki', 'docker.io', 'docker.io/grafana/loki'],
    ['quay.io/alpine', 'quay.io', 'quay.io/alpine'],
    ['quay.io/docker.io/alpine', 'quay.io', 'quay.io/docker.io/alpine'],
  ])('reads %s as %s’s', (name, upstream, repository) => {
    expect(meaning(name)).toEqual({ upstream, repository })
    expect(meaning(name, { fallback: 'docker.io' })).toEqual({ upstream, repository })
  })

  it.each(['team/app', 'alpine', 'docker.io', 'ghcr.io/team/app', 'team/docker.io/alpine', 'docker.iox/a'])(
    'leaves %s to the cluster',
    (name) => {
      expect(meaning(name)).toEqual({ repository: name })
    },
  )

  it.each([
    ['library/alpine', 'docker.io', 'docker.io/library/alpine'],
    ['alpine', 'docker.io', 'docker.io/library/alpine'],
    ['prometheus/prometheus', 'quay.io', 'quay.io/prometheus/prometheus'],
    // With a path of its own in hosts.toml, the prefix and ns come together.
    ['docker.io/library/alpine', 'docker.io', 'docker.io/library/alpine'],
    ['docker.io/library/alpine', 'quay.io', 'quay.io/docker.io/library/alpine'],
  ])('reads %s with ns=%s as %s', (name, ns, repository) => {
    expect(meaning(name, { ns })).toEqual({ upstream: ns, repository })
    expect(meaning(name, { ns, fallback: 'quay.io' })).toEqual({ upstream: ns, repository })
  })

  it.each(['', 'localhost:5000', 'LOCALHOST:5000'])('ignores ns=%s, which names this node', (ns) => {
    expect(meaning('team/app', { ns })).toEqual({ repository: 'team/app' })
    expect(meaning('quay.io/team/app', { ns })).toMatchObject({ upstream: 'quay.io' })
  })

  it.each([
    'ghcr.io',
    'localhost:5001',
    '169.254.169.254',
    'http://169.254.169.254/latest/meta-data',
    'docker.io:443',
    'docker.io/library',
    'docker.io@evil.example',
    'docker.io.',
    'DOCKER.IO',
    ' docker.io',
    'docker.io\r\nHost: evil',
    '../docker.io',
    '__proto__',
    'x'.repeat(10_000),
  ])('refuses ns=%j, which nobody configured', (ns) => {
    const refused = expect.objectContaining({
      code: 'NAME_UNKNOWN',
      message: expect.stringContaining('docker.io, quay.io'),
    })
    expect(() => meaning('library/alpine', { ns })).toThrow(refused)
  })

  it('takes every name for the cluster’s own where nothing is mirrored, whatever ns says', () => {
    const nothing = { isMirrored: () => false, mirrored: [] }
    for (const ns of [undefined, 'docker.io', 'evil.example'])
      expect(meaning('docker.io/library/alpine', { ...nothing, ns })).toEqual({
        repository: 'docker.io/library/alpine',
      })
  })

  it.each([
    ['alpine', 'docker.io/library/alpine'],
    ['library/alpine', 'docker.io/library/alpine'],
    ['ghcr.io/team/app', 'docker.io/ghcr.io/team/app'],
  ])('leaves it open whether %s, which names no registry, is the cluster’s or %s', (name, otherwise) => {
    expect(meaning(name, { fallback: 'docker.io' })).toEqual({ repository: name, otherwise })
  })

  it('refuses a name that gets too long with its upstream', () => {
    const long = 'a'.repeat(250)
    expect(() => meaning(long, { ns: 'quay.io' })).toThrow(expect.objectContaining({ code: 'NAME_INVALID' }))
  })

  it('never leads to another upstream than the one that was named, and is the same when it is read again', () => {
    const word = fc.stringMatching(/^[a-z0-9]{1,8}$/)
    const name = fc
      .tuple(
        fc.constantFrom('', 'docker.io/', 'quay.io/', 'ghcr.io/'),
        fc.array(word, { minLength: 1, maxLength: 4 }),
      )
      .map(([first, words]) => `${first}${words.join('/')}`)
    const ns = fc.oneof(fc.constantFrom(undefined, ...upstreams), fc.string())
    fc.assert(
      fc.property(name, ns, fc.constantFrom(undefined, ...upstreams), (asked, named, fallback) => {
        let read: ReturnType<typeof meaning>
        try {
          read = meaning(asked, { ns: named, fallback })
        } catch (error) {
          expect(error).toMatchObject({ code: 'NAME_UNKNOWN' })
          return
        }
        const { repository, upstream, otherwise } = read
        expect(parseRepository(repository)).toBe(repository)
        if (upstream === undefined) expect(repository).toBe(asked)
        else {
          expect(repository.startsWith(`${upstream}/`)).toBe(true)
          expect(meaning(repository)).toEqual({ repository, upstream })
        }
        if (named !== undefined && upstreams.includes(named)) expect(upstream).toBe(named)
        if (otherwise !== undefined) expect(otherwise.startsWith(`${fallback}/`)).toBe(true)
      }),
    )
  })
})

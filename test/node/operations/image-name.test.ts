import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatImageName, parseImageName } from '../../../node/operations/image-name.ts'

const digest = `sha256:${'a'.repeat(64)}`

describe('an image name', () => {
  it.each([
    ['app', { repository: 'app' }],
    ['team/app:1', { repository: 'team/app', reference: { tag: '1' } }],
    [`team/app@${digest}`, { repository: 'team/app', reference: { digest } }],
    [`team/app:1@${digest}`, { repository: 'team/app', reference: { digest } }],
    ['localhost:5000/team/app:1', { repository: 'team/app', reference: { tag: '1' } }],
    ['http://127.0.0.1:5000/app', { repository: 'app' }],
    ['[::1]:5000/app:x', { repository: 'app', reference: { tag: 'x' } }],
    ['docker.io/library/alpine:3', { repository: 'docker.io/library/alpine', reference: { tag: '3' } }],
  ])('is read from %s', (text, name) => {
    expect(parseImageName(text)).toEqual(name)
  })

  it.each([
    ['', 'NAME_INVALID'],
    ['Team/app', 'NAME_INVALID'],
    ['team/../app', 'NAME_INVALID'],
    ['team//app', 'NAME_INVALID'],
    ['app:', 'TAG_INVALID'],
    ['app:a:b', 'TAG_INVALID'],
    ['app:.x', 'TAG_INVALID'],
    ['app@latest', 'DIGEST_INVALID'],
    ['app@', 'DIGEST_INVALID'],
    [`app@${digest}@${digest}`, 'DIGEST_INVALID'],
    ['localhost:5000/', 'NAME_INVALID'],
  ])('is refused when it is %j', (text, code) => {
    expect(() => parseImageName(text)).toThrow(expect.objectContaining({ code }))
  })

  it('is the one that was written, or a refusal', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          const { repository, reference } = parseImageName(text)
          if (reference === undefined) return
          expect(parseImageName(formatImageName(repository, reference))).toEqual({ repository, reference })
        } catch (error) {
          expect(error).toHaveProperty('code', expect.stringMatching(/_INVALID$/))
        }
      }),
    )
  })
})

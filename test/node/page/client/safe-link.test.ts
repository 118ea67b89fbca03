import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { safeLink } from '../../../../node/page/client/safe-link.ts'

describe('what a stranger wrote', () => {
  it.each(['https://example.com/a?b=c#d', 'http://example.com/', 'HTTPS://EXAMPLE.COM/'])(
    'is a link: %s',
    (text) => {
      expect(safeLink(text)).toBe(new URL(text).href)
    },
  )

  it.each([
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    ' javascript:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://example.com/x',
    '//example.com/',
    '/api/delete-tag',
    'example.com',
    'https://',
    'https:// example.com',
    'see https://example.com/',
    'https://docker.io@evil.example/',
    'https://user:password@example.com/',
    `https://example.com/${'x'.repeat(3000)}`,
    '',
  ])('is text: %j', (text) => {
    expect(safeLink(text)).toBeUndefined()
  })

  it('never leads to anything but http and https', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.webUrl(),
          fc.string().map((rest) => `https://${rest}`),
        ),
        (text) => {
          const link = safeLink(text)
          if (link !== undefined) expect(new URL(link).protocol).toMatch(/^https?:$/)
        },
      ),
    )
  })
})

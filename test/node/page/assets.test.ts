import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Koa from 'koa'
import { describe, expect, it } from 'vitest'
import { Assets } from '../../../node/page/server/assets.ts'

describe('a page that was not built', () => {
  it('says in HTML how it is, and for its files nothing but that', async () => {
    const assets = new Assets('/nowhere/at/all')
    const app = new Koa()
    app.silent = true
    app.use((context) =>
      assets.serve(context, context.path === '/' ? 'index.html' : 'app.js').then(() => undefined),
    )
    const server = createServer(app.callback()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    try {
      const page = await fetch(url)
      expect([page.status, page.headers.get('content-type')]).toEqual([503, 'text/html; charset=utf-8'])
      expect(page.headers.get('cache-control')).toBe('no-store')
      const text = await page.text()
      expect(text).toMatch(/<!doctype html>[\s\S]*<code>npm run build:page<\/code>/)
      // The page's content security policy lets no style apply that is not a file's; phones scale what names no width.
      expect(text).not.toMatch(/style/)
      expect(text).toContain('<meta name="viewport"')
      expect((await fetch(`${url}/app.js`)).headers.get('content-type')).not.toContain('html')
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})

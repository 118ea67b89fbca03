/** The page's files as they were built: read once, compressed once, and named by their content but for the page itself. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join, relative, sep } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Context } from 'koa'
import { home } from '../../home.ts'
import { PageError } from './page-error.ts'

interface Asset {
  type: string
  etag: string
  plain: Buffer
  packed: Buffer
}

/** Where `npm run build:page` leaves them. */
export const builtPage = join(home, 'dist/page')

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}
const pack = promisify(gzip)

const notBuilt = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Shoal: the page was not built</title>
<body>
<h1>The page was not built</h1>
<p>The node runs, and serves docker as it should. Its page is built from the checkout:</p>
<pre><code>npm run build:page</code></pre>
<p>Then reload; the node need not be restarted. <code>npm start</code> does both.</p>
</body></html>
`

export class Assets {
  readonly #directory: string
  #loading: Promise<Map<string, Asset>> | undefined

  constructor(directory: string) {
    this.#directory = directory
  }

  /** False when there is no such file. Throws PageError when the page was not built, but for the page itself, which says so. */
  async serve(context: Context, name: string): Promise<boolean> {
    // A failure is not kept: the page may be built while the node runs.
    this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined
      throw error
    })
    const assets = await this.#loading.catch((error: unknown) => {
      if (name === 'index.html' && error instanceof PageError && error.code === 'NOT_BUILT') return undefined
      throw error
    })
    if (assets === undefined) {
      // Whoever opens it in a browser is no program that reads JSON.
      context.status = 503
      context.set({ 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' })
      context.body = notBuilt
      return true
    }
    const asset = assets.get(name)
    if (asset === undefined) return false
    context.set({
      'Content-Type': asset.type,
      ETag: asset.etag,
      Vary: 'Accept-Encoding',
      // What is named by its content never changes; the page itself is asked for anew.
      'Cache-Control': name === 'index.html' ? 'no-cache' : 'public, max-age=31536000, immutable',
    })
    context.status = 200
    if (context.fresh) context.status = 304
    else if (context.acceptsEncodings('gzip', 'identity') === 'gzip') {
      context.set('Content-Encoding', 'gzip')
      context.body = asset.packed
    } else context.body = asset.plain
    return true
  }

  async #load(): Promise<Map<string, Asset>> {
    const names = await this.#list()
    const assets = await Promise.all(
      names.map(async (name): Promise<[string, Asset]> => {
        const plain = await readFile(join(this.#directory, name))
        const hash = createHash('sha256').update(plain).digest('base64url').slice(0, 22)
        const type = types[extname(name)] ?? 'application/octet-stream'
        return [name.replaceAll(sep, '/'), { type, etag: `"${hash}"`, plain, packed: await pack(plain) }]
      }),
    )
    return new Map(assets)
  }

  async #list(): Promise<string[]> {
    try {
      const entries = await readdir(this.#directory, { recursive: true, withFileTypes: true })
      const files = entries.filter((entry) => entry.isFile() && extname(entry.name) in types)
      return files.map(({ parentPath, name }) => relative(this.#directory, join(parentPath, name)))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      throw new PageError('NOT_BUILT', 503, 'the page was not built; run npm run build:page', {
        cause: error,
      })
    }
  }
}

/** What the page may change, and for whom: only for a request that carries the token which this page alone can read. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Context } from 'koa'
import type { Logger } from '../../../src/base/base.ts'
import { type BodyWatch, holdBody } from '../../../src/http/http.ts'
import { parseRepository, parseTag } from '../../../src/oci/oci.ts'
import type { FreeableAnswer } from '../answers.ts'
import type { PageNode, Visitors } from '../page.ts'
import { isLoopbackHost } from './guard.ts'
import { PageError } from './page-error.ts'

export const tokenHeader = 'X-Shoal-Token'
const maxBodyBytes = 4096

/** Whoever reaches the page has no account, so by default only a browser on this host may change something. */
export type MayChange = 'nobody' | 'loopback' | 'anyone'

export interface ChangesOptions {
  mayChange: MayChange
  visitors: Visitors
  bodies: BodyWatch
  onCollected(): void
  logger: Logger
}

export class Changes {
  /** Of this process: a page that was loaded before a restart has to ask for the next one. */
  readonly token = randomBytes(32).toString('base64url')
  readonly #node: PageNode
  readonly #options: ChangesOptions

  constructor(node: PageNode, options: ChangesOptions) {
    this.#node = node
    this.#options = options
  }

  /** Why this reader may change nothing, in words. */
  refusal(context: Context): string | undefined {
    const { mayChange, visitors } = this.#options
    if (!visitors.mayChange())
      return 'the policy lets not everybody delete everything, and nobody can sign in here'
    if (mayChange === 'anyone' || (mayChange === 'loopback' && isLoopbackHost(context.get('Host'))))
      return undefined
    return 'nothing can be changed from here: the page is open to others than this host, and the node was started without --page-changes'
  }

  /** Why this reader may delete no tag, in words; the policy may refuse still. */
  refusalToDelete(context: Context): string | undefined {
    return this.#node.mayDelete ? this.refusal(context) : 'deletion is turned off on this node (--no-delete)'
  }

  async deleteTag(context: Context, { signal }: { signal: AbortSignal }): Promise<{ deleted: true }> {
    const { repository, tag } = await this.#admit(context)
    if (typeof repository !== 'string' || typeof tag !== 'string') {
      throw new PageError('BODY', 400, 'the body names no repository and tag')
    }
    signal.throwIfAborted()
    await this.#node.deleteTag(parseRepository(repository), parseTag(tag))
    this.#options.logger.info({ repository, tag }, 'a tag was deleted from the page')
    return { deleted: true }
  }

  async collect(context: Context, { signal }: { signal: AbortSignal }): Promise<FreeableAnswer> {
    await this.#admit(context)
    const { blobs, manifests, bytes } = await this.#node.operate('gc', { dryRun: false }, { signal })
    this.#options.onCollected()
    return { blobs, manifests, bytes }
  }

  /** The body of a request that may change something. Throws PageError for every other. */
  async #admit(context: Context): Promise<Record<string, unknown>> {
    if (!isSame(context.get(tokenHeader), this.token)) {
      throw new PageError('TOKEN', 403, 'the request does not carry this page’s token; load the page again')
    }
    const refusal = this.refusal(context)
    if (refusal !== undefined) throw new PageError('READ_ONLY', 403, refusal)
    // A form of another site cannot send this type.
    if (!context.is('application/json')) throw new PageError('BODY', 415, 'the body is not application/json')
    using body = await holdBody(context.req, maxBodyBytes, this.#options.bodies)
    if (body === undefined) throw new PageError('BODY', 413, `the body is larger than ${maxBodyBytes} bytes`)
    return parseBody(body.bytes.toString('utf8'))
  }
}

function parseBody(text: string): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw new PageError('BODY', 400, 'the body is not JSON', { cause })
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
    return parsed as Record<string, unknown>
  throw new PageError('BODY', 400, 'the body is no JSON object')
}

/** In a time that does not tell how much of it was right. */
function isSame(given: string, token: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(given), hash(token))
}

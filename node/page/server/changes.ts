/** What the page may change of images and this node's disk, and for whom. */
import type { Context } from 'koa'
import type { Logger } from '../../../src/base/base.ts'
import { parseReference, parseRepository, parseTag, type Repository } from '../../../src/oci/oci.ts'
import { formatImageName } from '../../operations/image-name.ts'
import type { OperationName, OperationTypes } from '../../operations/operations.ts'
import type { EvictedAnswer, TaggedAnswer, WarmedAnswer } from '../answers/images.ts'
import type { FreeableAnswer } from '../answers/storage.ts'
import type { PageNode } from '../page.ts'
import { isLoopbackHost } from './guard.ts'
import { PageError } from './page-error.ts'
import { type Body, textOf, textsOf } from './same-origin.ts'
import type { Visitor } from './visitors.ts'

/** Of those who did not sign in: by default only a browser on this host may change something. */
export type MayChange = 'nobody' | 'loopback' | 'anyone'

export interface ChangesOptions {
  mayChange: MayChange
  onCollected(): void
  /** A keep rule was added or removed. */
  onKept(): void
  logger: Logger
}

/** A request that wants something changed. */
export interface Change {
  context: Context
  visitor: Visitor
  body: Body
  signal: AbortSignal
}

/** Images that are brought at a time because somebody asked for them here; each brings several blobs at once. */
const maxWarmed = 4
const maxMissing = 20

export class Changes {
  readonly #node: PageNode
  readonly #options: ChangesOptions
  #warmed = 0

  constructor(node: PageNode, options: ChangesOptions) {
    this.#node = node
    this.#options = options
  }

  /** Why this reader may delete no tag there, in words; the policy may refuse still. */
  refusalToDelete(context: Context, visitor: Visitor, repository: Repository): string | undefined {
    if (!this.#node.mayDelete) return 'deletion is turned off on this node (--no-delete)'
    if (!visitor.may(repository, 'delete')) return `${nameOf(visitor)} may not delete in ${repository}`
    return this.#refusalFromHere(context, visitor)
  }

  async deleteTag({ context, visitor, body, signal }: Change): Promise<{ deleted: true }> {
    const repository = parseRepository(textOf(body, 'repository'))
    const tag = parseTag(textOf(body, 'tag'))
    if (!visitor.may(repository, 'pull'))
      throw new PageError('NAME_UNKNOWN', 404, noSuchRepository(repository))
    // Whether it is turned off is the registry's to say, with a code of its own.
    const refusal = this.#node.mayDelete ? this.refusalToDelete(context, visitor, repository) : undefined
    if (refusal !== undefined) throw new PageError('READ_ONLY', 403, refusal)
    signal.throwIfAborted()
    await this.#node.deleteTag(repository, tag, originOf(context, visitor))
    this.#options.logger.info({ repository, tag, account: visitor.name }, 'a tag was deleted from the page')
    return { deleted: true }
  }

  /** Why this reader may give no image a name, in words; rules and policy may refuse one there still. */
  refusalToTag(context: Context, visitor: Visitor): string | undefined {
    if (!visitor.maySomewhere('push')) return `${nameOf(visitor)} may not push anything`
    return this.#refusalFromHere(context, visitor)
  }

  /** As `shoal tag`, without its --as-authority. */
  async tag(change: Change): Promise<TaggedAnswer> {
    const { context, visitor, body } = change
    const source = imageIn(body, visitor)
    const repository = parseRepository(textOf(body, 'toRepository').trim())
    const tag = parseTag(textOf(body, 'toTag').trim())
    const refusal = visitor.may(repository, 'push')
      ? this.#refusalFromHere(context, visitor)
      : `${nameOf(visitor)} may not push to ${repository}`
    if (refusal !== undefined) throw new PageError('READ_ONLY', 403, refusal)
    const params = { source, target: `${repository}:${tag}`, asAuthority: false }
    const { digest, before } = await operateFor(this.#node, 'tag', params, change)
    this.#options.logger.info({ ...params, account: visitor.name }, 'an image was tagged from the page')
    // Who may push there need not know what is there.
    const mayKnow = before !== undefined && visitor.may(repository, 'pull')
    return { repository, tag, digest, ...(mayKnow ? { before } : {}) }
  }

  /** As `shoal warm`. It fills this node's disk, so it is for those who may free it; it ends with the request. */
  async warm(change: Change): Promise<WarmedAnswer> {
    const { context, visitor, body } = change
    const image = imageIn(body, visitor)
    const platforms = textsOf(body, 'platforms')
    this.#checkDisk(context, visitor)
    if (this.#warmed >= maxWarmed)
      throw new PageError(
        'BUSY',
        503,
        `${maxWarmed} images are being brought already; try again when one is here`,
      )
    this.#warmed++
    try {
      const params = { images: [image], mayBeStopped: true, ...(platforms.length === 0 ? {} : { platforms }) }
      const { images } = await operateFor(this.#node, 'warm', params, change)
      const [{ parts, bytes, missing } = { parts: 0, bytes: 0, missing: [] }] = images
      this.#options.logger.info(
        { image, bytes, missing: missing.length, account: visitor.name },
        'an image was brought from the page',
      )
      return { parts, bytes, missing: missing.slice(0, maxMissing) }
    } finally {
      this.#warmed--
    }
  }

  async collect({ context, visitor, signal }: Change): Promise<FreeableAnswer> {
    this.#checkDisk(context, visitor)
    const { blobs, manifests, bytes } = await this.#node.operate('gc', { dryRun: false }, { signal })
    this.#options.onCollected()
    return { blobs, manifests, bytes }
  }

  /** This node's copy alone; the command's --force stays the command's. */
  async evict(change: Change): Promise<EvictedAnswer> {
    const { context, visitor, body } = change
    const image = imageIn(body, visitor)
    this.#checkDisk(context, visitor)
    const { images } = await operateFor(this.#node, 'evict', { images: [image], force: false }, change)
    this.#options.onCollected()
    const [{ blobs, bytes, shared, holders } = { blobs: 0, bytes: 0, shared: 0, holders: [] }] = images
    this.#options.logger.info({ image, bytes, account: visitor.name }, 'a copy was freed from the page')
    return { blobs, bytes, shared, holders }
  }

  /** A rule fills this node's disk, so it is for those who may free it. */
  async keep(change: Change): Promise<{ id: string }> {
    const { context, visitor, body } = change
    this.#checkDisk(context, visitor)
    const tags = body.tags === undefined || body.tags === '' ? {} : { tags: textOf(body, 'tags') }
    const platforms = textsOf(body, 'platforms')
    const rule = {
      repositories: textOf(body, 'repositories'),
      ...tags,
      ...(platforms.length === 0 ? {} : { platforms }),
    }
    const { id } = await operateFor(this.#node, 'keep-add', rule, change)
    this.#options.onKept()
    this.#options.logger.info({ rule, account: visitor.name }, 'a keep rule was added from the page')
    return { id }
  }

  async endKeeping(change: Change): Promise<{ removed: number }> {
    const { context, visitor, body } = change
    this.#checkDisk(context, visitor)
    const rule = textOf(body, 'rule')
    const { removed } = await operateFor(this.#node, 'keep-rm', { rule }, change)
    this.#options.onKept()
    this.#options.logger.info({ rule, account: visitor.name }, 'a keep rule was removed from the page')
    return { removed: removed.length }
  }

  /** Why this reader may free nothing of this node's disk, in words. */
  refusalToFree(context: Context, visitor: Visitor): string | undefined {
    return visitor.mayEverywhere('delete')
      ? this.#refusalFromHere(context, visitor)
      : `${nameOf(visitor)} may not delete everything`
  }

  #checkDisk(context: Context, visitor: Visitor): void {
    const refusal = this.refusalToFree(context, visitor)
    if (refusal !== undefined) throw new PageError('READ_ONLY', 403, refusal)
  }

  #refusalFromHere(context: Context, visitor: Visitor): string | undefined {
    const { mayChange } = this.#options
    if (visitor.name !== undefined || mayChange === 'anyone') return undefined
    if (mayChange === 'loopback' && isLoopbackHost(context.get('Host'))) return undefined
    return 'nothing can be changed from here without signing in: the page is open to others than this host, and the node was started without --page-changes'
  }
}

/** Throws PageError where the reader may not know of it. */
function imageIn(body: Body, visitor: Visitor): string {
  const repository = parseRepository(textOf(body, 'repository'))
  const reference = parseReference(textOf(body, 'reference'))
  if (!visitor.may(repository, 'pull')) throw new PageError('NAME_UNKNOWN', 404, noSuchRepository(repository))
  return formatImageName(repository, reference)
}

/** The same where there is none and where it is hidden. */
export function noSuchRepository(repository: Repository): string {
  return `there is no repository ${repository} that you may read`
}

/** Done in the name of who asks for it. */
export async function operateFor<N extends OperationName>(
  node: Pick<PageNode, 'operate'>,
  operation: N,
  params: OperationTypes[N]['params'],
  { context, visitor, signal }: Omit<Change, 'body'>,
): Promise<OperationTypes[N]['result']> {
  return await node.operate(operation, params, { signal, origin: originOf(context, visitor) })
}

/** For the audit log. */
function originOf({ req }: Context, { name }: Visitor): { account?: string; from: string } {
  return {
    from: `page ${req.socket.remoteAddress ?? ''}`.trim(),
    ...(name === undefined ? {} : { account: name }),
  }
}

export function nameOf({ name }: Visitor): string {
  return name === undefined ? 'who did not sign in' : `the account ${name}`
}

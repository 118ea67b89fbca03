/** Events for whoever watches: the cluster's state every second, and one blob's with it for who asks; a few readers at most. */
import type { ServerResponse } from 'node:http'
import type { Context } from 'koa'
import { type Clock, type Logger, logFailure } from '../../../src/base/base.ts'
import type { Digest, Repository } from '../../../src/oci/oci.ts'
import type { Names } from '../../../src/records/records.ts'
import type { BlobEvent, StateEvent } from '../answers/live.ts'
import type { Observatory } from './observatory.ts'
import { PageError } from './page-error.ts'
import { Revisions } from './revisions.ts'
import type { Visitor } from './visitors.ts'

interface Reader {
  response: ServerResponse
  blob: Digest | undefined
  /** Who that is by now: sessions end, accounts and rules change. */
  visitor(): Visitor
  /** Who it was at first. */
  name: string | undefined
  /** Counts up with changes that it may hear of; who may read everything has the node's own count. */
  revision: number
  /** Events in a row for which its connection had no room. */
  missed: number
}

const maxReaders = 32
const everyMs = 1_000
const askEvery = 2
/** A reader that takes nothing for so many events is let go. */
const maxMissed = 30
const retryMs = 2_000

export class Live implements AsyncDisposable {
  readonly #observatory: Observatory
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #revisions = new Revisions()
  readonly #readers = new Set<Reader>()
  readonly #closing = new AbortController()
  #loop: Promise<void> | undefined

  constructor(observatory: Observatory, { clock, logger }: { clock: Clock; logger: Logger }) {
    this.#observatory = observatory
    this.#clock = clock
    this.#logger = logger
  }

  /** Throws PageError when too many watch. */
  attend(context: Context, { blob, visitor }: Pick<Reader, 'blob' | 'visitor'>): void {
    if (this.#closing.signal.aborted) throw new PageError('CLOSING', 503, 'this node is stopping')
    if (this.#readers.size >= maxReaders) {
      throw new PageError('BUSY', 503, `${maxReaders} pages watch this node already; close one of them`)
    }
    const reader: Reader = {
      response: context.res,
      blob,
      visitor,
      missed: 0,
      revision: 0,
      name: visitor().name,
    }
    context.respond = false
    context.res.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store',
    })
    context.res.write(`retry: ${retryMs}\n\n`)
    this.#readers.add(reader)
    context.res.once('close', () => this.#readers.delete(reader))
    this.#greet(reader).catch((error: unknown) => this.#drop(reader, error))
    this.#loop ??= this.#run()
  }

  /** Follows the ledger until the unsubscriber is called. */
  follow(names: Pick<Names, 'onChange'>): () => void {
    return names.onChange((keys) => {
      if (this.#readers.size > 0) this.#revisions.changed(keys)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('the node stops'))
    for (const { response } of this.#readers) response.end()
    await this.#loop
  }

  async #greet(reader: Reader): Promise<void> {
    const state = await this.#observatory.state()
    const { blob } = reader
    this.#show(reader, state, blob === undefined ? undefined : await this.#observatory.blob(blob))
  }

  /** While anybody watches. */
  async #run(): Promise<void> {
    const { signal } = this.#closing
    try {
      for (let round = 0; this.#readers.size > 0; round++) {
        // Not waited for: a member that is slow to answer must not stop the others' picture.
        const asked = round % askEvery === 0 ? this.#observatory.ask() : Promise.resolve()
        asked.catch((error: unknown) => this.#logger.warn({ err: error }, 'the members could not be asked'))
        await this.#clock.sleep(everyMs, { signal })
        await this.#tell()
      }
    } catch (error) {
      if (!signal.aborted) {
        logFailure(this.#logger, error, 'the page’s events broke off')
        for (const reader of this.#readers) this.#drop(reader, error)
      }
    } finally {
      this.#loop = undefined
    }
  }

  async #tell(): Promise<void> {
    const state = await this.#observatory.state()
    const isChangedFor = this.#revisions.take()
    const blobs = new Map<Digest, BlobEvent>()
    for (const reader of this.#readers) {
      if (isChangedFor(reader.visitor())) reader.revision++
      const { blob } = reader
      if (blob !== undefined && !blobs.has(blob)) blobs.set(blob, await this.#observatory.blob(blob))
      this.#show(reader, state, blob === undefined ? undefined : blobs.get(blob))
    }
  }

  /** As much as the reader may see now. */
  #show(reader: Reader, state: StateEvent, blob: BlobEvent | undefined): void {
    const visitor = reader.visitor()
    if (visitor.name !== reader.name || !mayWatch(visitor)) {
      this.#drop(reader, new Error('the reader may not see this any more'))
      return
    }
    const all = visitor.mayEverywhere('pull')
    this.#send(
      reader,
      event('state', all ? state : withoutCluster(state, reader.revision)),
      blob === undefined ? '' : event('blob', all ? blob : asSeenBy(visitor, blob)),
    )
  }

  #send(reader: Reader, ...events: string[]): void {
    const { response } = reader
    if (response.writableNeedDrain) {
      reader.missed++
      if (reader.missed > maxMissed) this.#drop(reader, new Error('the reader takes nothing'))
      return
    }
    reader.missed = 0
    response.write(events.join(''))
  }

  #drop(reader: Reader, error: unknown): void {
    this.#logger.debug({ err: error }, 'a reader of the page’s events was let go')
    this.#readers.delete(reader)
    reader.response.destroy()
  }
}

/** Whether there is anything to see. */
export function mayWatch(visitor: Visitor): boolean {
  return visitor.maySomewhere('pull') || visitor.name !== undefined
}

/** For who may read some of the images: who the members are, what moves, and that others changed, is for those who may read all. */
function withoutCluster(state: StateEvent, revision: number): StateEvent {
  return { ...state, revision, members: [], lost: [], flows: [], transfers: [], problems: [] }
}

/** Of a blob that is in none of the visitor's repositories as of one that there is not. */
function asSeenBy(visitor: Visitor, { transfer, ...blob }: BlobEvent): BlobEvent {
  const repositories = blob.repositories.filter((name) => visitor.may(name as Repository, 'pull'))
  if (repositories.length === 0) return { digest: blob.digest, isHere: false, repositories }
  return {
    ...blob,
    repositories,
    ...(transfer === undefined ? {} : { transfer: { ...transfer, peers: [] } }),
  }
}

/** JSON has no line break outside of its strings, and none in them that is not escaped. */
function event(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

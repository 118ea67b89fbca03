/** Requests to a node of a soak: each is noted, and what no weather excuses is complained of. */
import { ACCEPT_MANIFESTS, type Answer } from '../e2e/client.ts'
import { sha256 } from '../e2e/image.ts'
import type { Answer as Seen, Write } from '../model/model.ts'
import { type Call, type Chronicle, type Name, type ReadFacts, short } from './chronicle.ts'
import type { ManifestContent } from './content.ts'
import { patient } from './patience.ts'
import type { FaultKind } from './plan.ts'
import type { SoakNode } from './soak-node.ts'
import type { Weather } from './weather.ts'

/** What happens to a node itself: connections break and nothing answers. */
const outages: readonly FaultKind[] = ['kill', 'restart', 'stop']
/** What keeps content that is elsewhere from coming. */
const distant: readonly FaultKind[] = ['kill', 'restart', 'stop', 'partition', 'rot', 'disk', 'clock']
/** After a fault, connections have to be found dead and members found again. */
const afterMs = 20_000

export interface Ground {
  readonly nodes: readonly SoakNode[]
  readonly chronicle: Chronicle
  readonly weather: Weather
  readonly now: () => number
  complain(what: string, about: { call?: Call; name?: Name; node?: number }): void
}

interface Request {
  headers?: Record<string, string>
  body?: Uint8Array
  /** Of a blob: one that is found to be damaged is cut off, and is right when it is asked for again. */
  digest?: string
}

export class RegistryClient {
  readonly #ground: Ground
  readonly node: number
  readonly task: string

  constructor(ground: Ground, node: number, task: string) {
    this.#ground = ground
    this.node = node
    this.task = task
  }

  /** `undefined` when the connection broke, which only an outage excuses. */
  async ask(method: string, path: string, { digest, ...request }: Request = {}): Promise<Answer | undefined> {
    const { now, complain } = this.#ground
    const beginMs = now()
    const soak = this.#ground.nodes[this.node]
    if (soak === undefined) throw new Error(`there is no node ${this.node}`)
    try {
      const answer = await soak.node.client.ask(method, path, request)
      if (answer.status >= 500 && !this.#isExcused(answer.status, beginMs))
        complain(`${method} ${path} was answered ${said(answer)}`, { node: this.node })
      return answer
    } catch (error) {
      if (digest !== undefined && soak.rotten.has(digest)) return await this.ask(method, path, request)
      // The only copy may be the damaged one of another node; whether it was is for the model to say.
      const isDamaged = this.#ground.nodes.some(({ rotten }) => digest !== undefined && rotten.has(digest))
      if (isDamaged) return undefined
      // A body breaks off when who gives it does.
      const isExcused = method === 'GET' ? this.#had(distant, beginMs, {}) : this.had(outages, beginMs)
      if (!isExcused) complain(`${method} ${path} got no answer: ${wordsOf(error)}`, { node: this.node })
      return undefined
    }
  }

  async readManifest(
    name: { repository: string } & ({ tag: string } | { digest: string }),
    method: 'GET' | 'HEAD',
  ): Promise<Answer | undefined> {
    const { complain, now } = this.#ground
    const beginMs = now()
    const reference = 'tag' in name ? name.tag : name.digest
    const answer = await this.ask(method, `/v2/${name.repository}/manifests/${reference}`, {
      headers: { accept: ACCEPT_MANIFESTS },
    })
    const digest = String(answer?.headers['docker-content-digest'])
    const seen = seenIn(answer, 200, digest)
    const asked = { answer: seen, isHead: method === 'HEAD' }
    const read =
      'tag' in name
        ? ({ kind: 'tag', ...name, ...asked } as const)
        : ({ kind: 'manifest', ...name, ...asked } as const)
    const call = this.#addRead(answer, beginMs, read, method)
    if (answer === undefined) return undefined
    if (![200, 404, 503, 507].includes(answer.status))
      complain(`a manifest was answered ${said(answer)}`, { call })
    if (answer.status === 200 && method === 'GET' && sha256(answer.body) !== digest)
      complain(`wrong bytes: a manifest under ${short(digest)} hashes to ${short(sha256(answer.body))}`, {
        call,
      })
    return answer
  }

  /** The whole of it, hashed. */
  async readBlob(repository: string, digest: string): Promise<void> {
    const { complain, now } = this.#ground
    const beginMs = now()
    const answer = await this.ask('GET', `/v2/${repository}/blobs/${digest}`, { digest })
    const read = { kind: 'blob', repository, digest, answer: seenIn(answer, 200, digest) } as const
    const call = this.#addRead(answer, beginMs, read, 'blob')
    if (answer?.status !== 200) return
    const hash = sha256(answer.body)
    if (hash !== digest)
      complain(
        `wrong bytes: ${short(digest)} was answered 200 with ${answer.body.length} bytes that hash to ${short(hash)}`,
        { call },
      )
  }

  /** Part of a blob whose bytes are known. */
  async readRange(repository: string, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const { complain, now } = this.#ground
    const digest = sha256(bytes)
    const beginMs = now()
    const headers = { range: `bytes=${start}-${end - 1}` }
    const answer = await this.ask('GET', `/v2/${repository}/blobs/${digest}`, { headers, digest })
    const read = { kind: 'blob', repository, digest, answer: seenIn(answer, 206, digest) } as const
    const call = this.#addRead(answer, beginMs, read, `bytes ${start} to ${end}`)
    if (answer?.status === 206 && !answer.body.equals(bytes.subarray(start, end)))
      complain(`wrong bytes in the range ${start} to ${end} of ${short(digest)}`, { call })
    if (answer !== undefined && ![206, 404, 503, 507].includes(answer.status))
      complain(`a range was answered ${said(answer)}`, { call })
  }

  async readTags(repository: string): Promise<void> {
    const { chronicle, complain, now } = this.#ground
    const beginMs = now()
    const answer = await this.ask('GET', `/v2/${repository}/tags/list?n=1000`)
    if (answer === undefined) return
    if (answer.status === 200) {
      const { tags } = JSON.parse(answer.body.toString()) as { tags: string[] | null }
      chronicle.addRead(this.node, this.task, beginMs, { kind: 'list', repository, tags: tags ?? [] }, 'list')
    } else if (answer.status === 404) {
      chronicle.addRead(
        this.node,
        this.task,
        beginMs,
        { kind: 'list', repository, tags: [] },
        'no repository',
      )
    } else if (answer.status !== 503) {
      complain(`the tags of ${repository} were answered ${said(answer)}`, { node: this.node })
    }
  }

  async putManifest(
    repository: string,
    reference: { tag: string } | { byDigest: true },
    { content, blobs, manifests }: ManifestContent,
  ): Promise<Answer | undefined> {
    const { digest, mediaType } = content.descriptor
    const tags = 'tag' in reference ? [reference.tag] : []
    const end = this.#ground.chronicle.beginWrite(this.node, this.task, {
      kind: 'push',
      repository,
      digest,
      tags,
      blobs,
      manifests,
    })
    const answer = await this.ask('PUT', `/v2/${repository}/manifests/${tags[0] ?? digest}`, {
      headers: { 'content-type': mediaType },
      body: content.bytes,
    })
    end(outcomeOf(answer), noteOf(answer))
    return answer
  }

  async delete(repository: string, name: { tag: string } | { digest: string }): Promise<void> {
    const { chronicle, complain } = this.#ground
    const write =
      'tag' in name
        ? ({ kind: 'delete-tag', repository, tag: name.tag } as const)
        : ({ kind: 'delete-manifest', repository, digest: name.digest } as const)
    const end = chronicle.beginWrite(this.node, this.task, write)
    const reference = 'tag' in name ? name.tag : name.digest
    const answer = await this.ask('DELETE', `/v2/${repository}/manifests/${reference}`)
    const call = end(outcomeOf(answer), noteOf(answer))
    if (answer !== undefined && ![202, 404, 403, 503, 507].includes(answer.status))
      complain(`a deletion was answered ${said(answer)}`, { call })
  }

  /** Whether one of these went on at this node since then, or shortly before. */
  had(kinds: readonly (FaultKind | 'collect')[], sinceMs: number): boolean {
    return this.#had(kinds, sinceMs, { node: this.node })
  }

  #had(kinds: readonly (FaultKind | 'collect')[], sinceMs: number, at: { node?: number }): boolean {
    const { weather, now } = this.#ground
    return weather.had(kinds, { ...at, beginMs: sinceMs - patient(afterMs), endMs: now() })
  }

  /** What a full disk keeps a node from bringing says nothing of what is where. */
  #addRead(answer: Answer | undefined, beginMs: number, read: ReadFacts, how: string): Call {
    const { chronicle } = this.#ground
    const note = `${how}, ${answer?.status ?? 'broken'}`
    // 503 where a single member says how large it is, which is not enough to call the disk too small.
    const isFull = answer?.status === 507 || (answer?.status === 503 && this.had(['disk'], beginMs))
    return isFull
      ? chronicle.noteRead(this.node, this.task, beginMs, read, note)
      : chronicle.addRead(this.node, this.task, beginMs, read, note)
  }

  /** 507 is the answer of a full disk, to whoever wants what would have to be brought there too; 503 of what cannot be had or done now. */
  #isExcused(status: number, beginMs: number): boolean {
    if (status === 507) return this.had(['disk'], beginMs)
    return status === 503 && this.#had(distant, beginMs, {})
  }
}

/** A refusal did nothing; 5xx and a broken connection may have done it or not. */
export function outcomeOf(answer: Answer | undefined): Write['outcome'] {
  if (answer === undefined || answer.status >= 500) return 'unknown'
  return answer.status < 300 ? 'acknowledged' : 'refused'
}

export function said(answer: Answer): string {
  return `${answer.status} ${answer.body.toString('utf8', 0, 300)}`.trim()
}

function seenIn(answer: Answer | undefined, found: number, digest: string): Seen {
  if (answer?.status === found) return { is: 'found', digest }
  return { is: answer?.status === 404 ? 'absent' : 'unavailable' }
}

function noteOf(answer: Answer | undefined): string {
  if (answer === undefined) return 'broken'
  return answer.status < 300 ? String(answer.status) : said(answer)
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

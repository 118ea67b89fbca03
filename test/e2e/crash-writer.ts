/** Pushes without end, in every way that clients do, until the registry is gone; notes what was acknowledged. */
import {
  type Answer,
  type Client,
  locationOf,
  pushManifest,
  startUpload,
  UnexpectedAnswerError,
  withDigest,
} from './client.ts'
import type { CrashLedger, Interrupted } from './crash-ledger.ts'
import { type Content, content, jsonContent, seededBytes } from './image.ts'
import type { Random } from './random.ts'

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const PIECE = 64 * 1024
/** An upload of so much is in memory alone, and is gone with the node. */
const HELD = 64 * 1024

export interface CrashWriterOptions {
  client: Client
  ledger: CrashLedger
  random: Random
  repository: string
  /** Called as each piece of a body goes out and as each answer comes in. */
  onEvent: () => void
}

export class CrashWriter {
  readonly #options: CrashWriterOptions
  readonly #client: Client
  #made = 0
  resumed = 0

  constructor(options: CrashWriterOptions) {
    this.#options = options
    const { client, onEvent } = options
    const ask = async (...args: Parameters<Client['ask']>): Promise<Answer> => {
      const answer = await client.ask(...args)
      onEvent()
      return answer
    }
    this.#client = { ask, [Symbol.dispose]: () => client[Symbol.dispose]() }
  }

  /** Ends by throwing what the broken connection, or a wrong answer, throws. */
  async run(): Promise<never> {
    const { ledger, random, repository } = this.#options
    for (;;) {
      const unfinished = ledger.interrupted.findIndex((upload) => upload.repository === repository)
      const dice = random.next()
      if (unfinished !== -1) await this.#resume(ledger.interrupted.splice(unfinished, 1))
      else if (dice < 0.3 || ledger.blobsOf(repository).length < 2) await this.#pushWhole()
      else if (dice < 0.6) await this.#pushInChunks()
      else if (dice < 0.95) await this.#pushManifest()
      else await this.#untag()
    }
  }

  #newContent(maxBytes: number): Content {
    const { random, repository } = this.#options
    const size = random.next() < 0.05 ? 0 : random.between(1, maxBytes)
    return content(
      'application/octet-stream',
      seededBytes(`${repository}/${random.next()}/${this.#made++}`, size),
    )
  }

  /** One request or two. */
  async #pushWhole(): Promise<void> {
    const { ledger, random, repository } = this.#options
    const made = this.#newContent(400_000)
    const { digest } = made.descriptor
    const whole = { body: this.#pieces(made.bytes), headers: lengthOf(made.bytes) }
    const answer =
      random.next() < 0.5
        ? await this.#client.ask('POST', withDigest(`/v2/${repository}/blobs/uploads/`, digest), whole)
        : await this.#client.ask(
            'PUT',
            withDigest(await startUpload(this.#client, repository), digest),
            whole,
          )
    expectStatus(answer, 201)
    ledger.blobs.push({ ...made, repository })
  }

  async #pushInChunks(): Promise<void> {
    const { repository } = this.#options
    const location = await startUpload(this.#client, repository)
    const made = this.#newContent(2_000_000)
    await this.#continue({
      repository,
      location,
      content: made,
      acknowledged: 0,
      sent: 0,
      maybeFinished: false,
    })
  }

  async #resume([upload]: Interrupted[]): Promise<void> {
    if (upload === undefined) return
    await this.#noting(upload, async () => {
      const answer = await this.#client.ask('GET', upload.location)
      const mayBeGone = upload.maybeFinished || upload.acknowledged <= HELD
      if (answer.status === 404 && mayBeGone) return
      expectStatus(answer, 204)
      const last = Number(/^0-(\d+)$/.exec(answer.headers.range ?? '')?.[1])
      const offset = last === 0 ? 0 : last + 1
      // An unanswered PUT may have moved the bytes on to their digest's name, and what was held not be in its file yet: the session is empty.
      const least = mayBeGone ? 0 : upload.acknowledged
      if (!(offset >= least && offset <= upload.sent))
        throw new Error(
          `${upload.acknowledged} bytes were acknowledged, ${upload.sent} sent, ${offset} reported`,
        )
      this.resumed++
      upload.acknowledged = offset
      upload.maybeFinished = false
      upload.location = locationOf(answer)
      await this.#finish(upload)
    })
  }

  async #continue(upload: Interrupted): Promise<void> {
    await this.#noting(upload, () => this.#finish(upload))
  }

  /** Keeps the upload for later when its connection breaks. */
  async #noting(upload: Interrupted, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#options.ledger.interrupted.push(upload)
      throw error
    }
  }

  async #finish(upload: Interrupted): Promise<void> {
    const { ledger, random, repository } = this.#options
    const { bytes, descriptor } = upload.content
    while (upload.acknowledged < bytes.length) {
      const start = upload.acknowledged
      const end = Math.min(bytes.length, start + random.between(1, 700_000))
      const chunk = bytes.subarray(start, end)
      // As skopeo does it, or as docker does: without saying how long the chunk is or where it belongs.
      const headers =
        random.next() < 0.5 ? { ...lengthOf(chunk), 'content-range': `${start}-${end - 1}` } : {}
      upload.sent = end
      const answer = await this.#client.ask('PATCH', upload.location, { headers, body: this.#pieces(chunk) })
      expectStatus(answer, 202)
      upload.acknowledged = end
      upload.location = locationOf(answer)
    }
    upload.maybeFinished = true
    expectStatus(await this.#client.ask('PUT', withDigest(upload.location, descriptor.digest)), 201)
    ledger.blobs.push({ ...upload.content, repository })
  }

  async #pushManifest(): Promise<void> {
    const { ledger, random, repository } = this.#options
    const blobs = ledger.blobsOf(repository)
    const subject = random.next() < 0.3 ? ledger.tagged(`${repository}:moving`) : undefined
    const made = jsonContent(MANIFEST_TYPE, {
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: random.pick(blobs).descriptor,
      layers: [random.pick(blobs).descriptor, random.pick(blobs).descriptor],
      annotations: { number: `${this.#made++}`, mark: `${random.next()}` },
      ...(subject === undefined ? {} : { subject: { mediaType: MANIFEST_TYPE, digest: subject, size: 1 } }),
    })
    const { digest } = made.descriptor
    const tag = random.next() < 0.5 ? 'moving' : `t${this.#made}`
    ledger.tagAttempt(`${repository}:${tag}`, digest)
    await pushManifest(this.#client, repository, tag, made)
    ledger.tagAcknowledged(`${repository}:${tag}`, digest)
    ledger.manifests.push({ ...made, repository, ...(subject === undefined ? {} : { subject }) })
  }

  async #untag(): Promise<void> {
    const { ledger, repository } = this.#options
    const name = `${repository}:moving`
    if (ledger.tagged(name) === undefined) return
    ledger.tagAttempt(name, undefined)
    expectStatus(await this.#client.ask('DELETE', `/v2/${repository}/manifests/moving`), 202)
    ledger.tagAcknowledged(name, undefined)
  }

  async *#pieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < bytes.length; start += PIECE) {
      this.#options.onEvent()
      yield bytes.subarray(start, start + PIECE)
    }
  }
}

function lengthOf(bytes: Uint8Array): Record<string, string> {
  return { 'content-length': `${bytes.length}` }
}

function expectStatus(answer: Answer, status: number): void {
  if (answer.status !== status) throw new UnexpectedAnswerError(`a request that expects ${status}`, answer)
}

/**
 * What a soak ends with, when all is well and nothing else goes on: each disk in turn is full under load, then a host takes a push that
 * waits for a second copy, and is gone with its disk. Nothing that was acknowledged is lost by that.
 */
import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { ACCEPT_MANIFESTS, type Answer } from '../e2e/client.ts'
import { sha256 } from '../e2e/image.ts'
import { imageCount, makeImage, type SoakImage } from './content.ts'
import { patient } from './patience.ts'
import type { Ground } from './registry-client.ts'
import type { SoakNode } from './soak-node.ts'

const repository = 'soak/last'
const recoverMs = 30_000
const pollMs = 250

interface Pushed {
  readonly tag: string
  readonly image: SoakImage
}

export class LastPhase {
  readonly #ground: Ground
  readonly #acknowledged: Pushed[] = []
  /** None of these comes up in a round. */
  #number = imageCount

  constructor(ground: Ground) {
    this.#ground = ground
  }

  async run(lost: number): Promise<void> {
    for (const index of this.#ground.nodes.keys()) await this.#fill(index)
    await this.#readAll(this.#ground.nodes)
    await this.#lose(lost)
  }

  /** The others go on, what is here is read, and pushes are taken again as soon as there is room. */
  async #fill(index: number): Promise<void> {
    const { nodes, weather, now, complain } = this.#ground
    const full = this.#nodeAt(index)
    const end = weather.begin('disk', index, now())
    await full.fillDisk(0)
    const statuses = await Promise.all(
      nodes.map((node, at) => (at === index ? this.#tryPush(node) : this.#push(node))),
    )
    for (const [at, { status }] of statuses.entries()) {
      if (status !== 201 && !(at === index && [0, 503, 507].includes(status)))
        complain(`a push to node ${at} was answered ${status} while the disk of node ${index} was full`, {
          node: at,
        })
    }
    await full.freeDisk()
    const untilMs = now() + patient(recoverMs)
    for (;;) {
      const { status } = await this.#tryPush(full)
      if (status === 201) break
      if (now() > untilMs) {
        complain(`a push is answered ${status} long after there was room again`, { node: index })
        break
      }
      await wait(pollMs)
    }
    end(now())
  }

  async #lose(index: number): Promise<void> {
    const { nodes, weather, now, complain } = this.#ground
    const lost = this.#nodeAt(index)
    const { warning } = (await this.#push(lost, { 'shoal-ack': '2' })).headers
    if (warning !== undefined) complain(`no second copy of a push: ${warning}`, { node: index })
    const end = weather.begin('kill', index, now())
    lost.enter('down', now())
    await lost.node.kill()
    for (const name of await readdir(lost.data))
      await rm(path.join(lost.data, name), { recursive: true, force: true })
    // What was pushed last alone waited for a copy.
    await this.#readAll(
      [...nodes].filter((node) => node !== lost),
      this.#acknowledged.slice(-1),
    )
    end(now())
  }

  /** Whoever has no room may close the connection before all was sent: 0 for that. */
  async #tryPush(node: SoakNode): Promise<{ status: number }> {
    try {
      return await this.#push(node)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error
      return { status: 0 }
    }
  }

  async #push({ node }: SoakNode, headers: Record<string, string> = {}): Promise<Answer> {
    const image = makeImage(this.#number++)
    const tag = `v${this.#number}`
    for (const { descriptor, bytes } of image.blobs) {
      const uploads = `/v2/${repository}/blobs/uploads/?digest=${descriptor.digest}`
      const answer = await node.client.ask('POST', uploads, {
        headers: { 'content-type': 'application/octet-stream' },
        body: bytes,
      })
      if (answer.status !== 201) return answer
    }
    for (const { content } of image.children) {
      const answer = await this.#put(node, content.descriptor.digest, content)
      if (answer.status !== 201) return answer
    }
    const answer = await this.#put(node, tag, image.manifest.content, headers)
    if (answer.status === 201) this.#acknowledged.push({ tag, image })
    return answer
  }

  async #put(
    node: SoakNode['node'],
    reference: string,
    { descriptor, bytes }: SoakImage['manifest']['content'],
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return await node.client.ask('PUT', `/v2/${repository}/manifests/${reference}`, {
      headers: { 'content-type': descriptor.mediaType, ...headers },
      body: bytes,
    })
  }

  async #readAll(nodes: readonly SoakNode[], pushed: readonly Pushed[] = this.#acknowledged): Promise<void> {
    const { complain } = this.#ground
    for (const soak of nodes) {
      const { node } = soak
      for (const { tag, image } of pushed) {
        const manifest = `/v2/${repository}/manifests/${tag}`
        const paths = [
          manifest,
          ...image.blobs.map(({ descriptor }) => `/v2/${repository}/blobs/${descriptor.digest}`),
        ]
        const digests = [image.manifest.content, ...image.blobs].map(({ descriptor }) => descriptor.digest)
        for (const [part, where] of paths.entries()) {
          const answer = await node.client.ask('GET', where, { headers: { accept: ACCEPT_MANIFESTS } })
          if (answer.status === 200 && sha256(answer.body) === digests[part]) continue
          complain(`what was acknowledged is lost: ${where} is answered ${answer.status}`, {
            node: this.#ground.nodes.indexOf(soak),
          })
        }
      }
    }
  }

  #nodeAt(index: number): SoakNode {
    const node = this.#ground.nodes[index]
    if (node === undefined) throw new Error(`there is no node ${index}`)
    return node
  }
}

/** A site in a test of images on a disk: what it holds, and the commands on its data directory. */
import { Readable } from 'node:stream'
import { contentClient } from '../../node/admin/content-client.ts'
import { openReachableNode } from '../../node/admin/reachable-node.ts'
import { exportImages } from '../../node/archives/exporter.ts'
import { type ImportedImage, importImages } from '../../node/archives/importer.ts'
import { type LocalNode, openLocalNode } from '../../node/local-node.ts'
import { readSettings, type Settings } from '../../node/settings/settings.ts'
import { silentLogger } from '../../src/base/base.ts'
import { parseTag, type Repository } from '../../src/oci/oci.ts'
import { createRegistry } from '../../src/registry/registry.ts'
import { closureOf, type Made } from '../placement/world.ts'

const { signal } = new AbortController()

/** A node without a network, and the commands on its data directory. */
export class Site {
  readonly settings: Settings

  constructor(data: string, ...flags: string[]) {
    this.settings = readSettings(['--data', data, '--log-level', 'silent', ...flags], {}).settings
  }

  async open<T>(work: (node: LocalNode) => Promise<T>): Promise<T> {
    await using node = await openLocalNode({ settings: this.settings, logger: silentLogger, create: true })
    return await work(node)
  }

  /** Children before what refers to them. */
  push(repository: Repository, made: Made, tag?: string): Promise<void> {
    return this.open(async ({ store, names }) => {
      using registry = createRegistry({ store, names })
      const all = closureOf(made).reverse()
      for (const blob of all.filter(({ mediaType }) => !/manifest|index/.test(mediaType))) {
        const started = await registry.push.startUpload(repository)
        if (!('upload' in started)) throw new Error('an upload')
        await registry.push.appendUpload(repository, started.upload.id, Readable.from([blob.bytes]))
        await registry.push.finishUpload(repository, started.upload.id, blob.digest)
      }
      for (const { digest, bytes, mediaType } of all.filter((part) =>
        /manifest|index/.test(part.mediaType),
      )) {
        const reference = digest === made.digest && tag !== undefined ? { tag: parseTag(tag) } : { digest }
        await registry.push.putManifest(repository, reference, { bytes, contentType: mediaType })
      }
    })
  }

  async export(output: string, images: string[], platforms?: string[]) {
    await using _node = await openReachableNode(this.settings)
    const content = contentClient(this.settings.data)
    return await exportImages({
      settings: this.settings,
      content,
      images,
      platforms,
      output,
      onEvent: () => undefined,
    })
  }

  async import(input: string, as?: Repository): Promise<ImportedImage[]> {
    await using _node = await openReachableNode(this.settings)
    const content = contentClient(this.settings.data)
    return await importImages({
      settings: this.settings,
      content,
      input,
      as,
      onBlob: (_, state) => this.states.push(state),
      signal,
    })
  }

  readonly states: string[] = []

  tag(repository: Repository, tag: string) {
    return this.open(({ names }) => names.findTag(repository, parseTag(tag)))
  }

  holds(...made: Made[]): Promise<boolean> {
    return this.open(async ({ store }) => {
      for (const { digest } of closureOf(...made)) {
        if (
          (await store.blobs.stat(digest)) === undefined &&
          (await store.manifests.get(digest)) === undefined
        )
          return false
      }
      return true
    })
  }
}

/** A node without a network in a temporary folder, the operations on it, and ways to fill it. */

import { type LocalNode, openLocalNode } from '../../../node/local-node.ts'
import type { OperationName, OperationTypes } from '../../../node/operations/operations.ts'
import { runOperation } from '../../../node/operations/run-operation.ts'
import { readSettings } from '../../../node/settings/settings.ts'
import { silentLogger } from '../../../src/base/base.ts'
import { parseDigest, parseReference, parseRepository } from '../../../src/oci/oci.ts'
import { createRegistry, type Registry } from '../../../src/registry/registry.ts'
import { type Content, contentsOf, type Image, type Index } from '../../e2e/image.ts'
import { openScratchFolder } from '../../e2e/scratch-folder.ts'

export interface OperatedNode extends AsyncDisposable {
  readonly node: LocalNode
  readonly registry: Registry
  readonly data: string
  perform<N extends OperationName>(
    name: N,
    params: OperationTypes[N]['params'],
    onEvent?: (event: OperationTypes[N]['event']) => void,
  ): Promise<OperationTypes[N]['result']>
  /** Pushes everything that it consists of and tags it; without a tag, it goes by its digest alone. */
  push(repository: string, tag: string | undefined, item: Image | Index): Promise<void>
  pushManifest(repository: string, reference: string, manifest: Content): Promise<void>
  pushBlob(repository: string, blob: Content): Promise<void>
}

export async function openOperatedNode(flags: string[] = []): Promise<OperatedNode> {
  await using opened = new AsyncDisposableStack()
  const folder = opened.use(await openScratchFolder())
  const data = folder.at('data')
  const { settings } = readSettings(['--data', data, ...flags], {})
  const node = opened.use(await openLocalNode({ settings, logger: silentLogger, create: true }))
  const registry = opened.use(
    createRegistry({ store: node.store, names: node.names, allowDelete: !settings['no-delete'] }),
  )
  const { signal } = new AbortController()

  async function pushBlob(repository: string, { descriptor, bytes }: Content): Promise<void> {
    const named = parseRepository(repository)
    const started = await registry.push.startUpload(named)
    if ('mounted' in started) throw new Error('nothing was to be mounted')
    const { id } = started.upload
    await registry.push.appendUpload(named, id, chunksOf(bytes))
    await registry.push.finishUpload(named, id, parseDigest(descriptor.digest))
  }

  async function pushManifest(repository: string, reference: string, { descriptor, bytes }: Content) {
    const body = { bytes: Uint8Array.from(bytes), contentType: descriptor.mediaType }
    await registry.push.putManifest(parseRepository(repository), parseReference(reference), body)
  }

  const resources = opened.move()
  return {
    node,
    registry,
    data,
    perform: async (name, params, onEvent = () => undefined) => {
      const emit = onEvent as (event: unknown) => void
      return (await runOperation({ node, registry }, name, params, emit, { signal })) as never
    },
    async push(repository, tag, item) {
      const images = 'images' in item ? item.images.map(({ manifest }) => manifest) : []
      for (const part of contentsOf(item)) {
        if (part === item.manifest) await pushManifest(repository, tag ?? part.descriptor.digest, part)
        else if (images.includes(part)) await pushManifest(repository, part.descriptor.digest, part)
        else await pushBlob(repository, part)
      }
    },
    pushManifest,
    pushBlob,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield Uint8Array.from(bytes)
}

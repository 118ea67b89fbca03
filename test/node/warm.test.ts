import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type LocalNode, openLocalNode } from '../../node/local-node.ts'
import type { OperationContext } from '../../node/operations/operations.ts'
import { runOperation } from '../../node/operations/run-operation.ts'
import type { WarmEvent, WarmedImage } from '../../node/operations/warm.ts'
import { openTransferBoard } from '../../node/screen/transfer-board.ts'
import { readSettings } from '../../node/settings/settings.ts'
import { silentLogger } from '../../src/base/base.ts'
import { type Digest, parseTag } from '../../src/oci/oci.ts'
import { createRegistry, type Elsewhere, nowhere } from '../../src/registry/registry.ts'
import { closureOf, makeBlob, makeImage, makeIndex, repository } from '../placement/world.ts'

const { signal } = new AbortController()
const arm = makeImage([makeBlob('arm')], { seed: 'arm' })
const amd = makeImage([makeBlob('amd')], { seed: 'amd' })
const index = makeIndex([
  { ...arm, platform: { os: 'linux', architecture: 'arm64' } },
  { ...amd, platform: { os: 'linux', architecture: 'amd64' } },
])
const everything = new Map(closureOf(index).map((made) => [made.digest, made]))

/** A node that knows the tag, and a cluster that holds all but `lost`. */
async function inCluster(lost: Digest[], work: (context: OperationContext) => Promise<void>): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'shoal-warm-'))
  opened.defer(() => rm(folder, { recursive: true }))
  const { settings } = readSettings(['--data', folder], {})
  const node = opened.use(await openLocalNode({ settings, logger: silentLogger, create: true }))
  const elsewhere = clusterOf(node, new Set(lost))
  const registry = opened.use(createRegistry({ store: node.store, names: node.names, elsewhere }))
  for (const { digest, mediaType, size } of [arm, amd, index])
    await node.names.publish([{ kind: 'manifest', repository, digest, value: { mediaType, size } }])
  const { digest, mediaType, size } = index
  await node.names.publish([
    { kind: 'tag', repository, tag: parseTag('1'), value: { digest, mediaType, size } },
  ])
  const exchange = { status: () => ({ transfers: [], peers: [], memoryBytes: 0 }) }
  await work({
    node,
    registry,
    member: { elsewhere, exchange } as unknown as Required<OperationContext>['member'],
  })
}

function clusterOf({ store }: LocalNode, lost: Set<Digest>): Elsewhere {
  const find = (digest: Digest) => (lost.has(digest) ? undefined : everything.get(digest))
  return {
    ...nowhere,
    fetchManifest: async (_, digest) => find(digest)?.bytes,
    async fetchBlob(_, digest) {
      const made = find(digest)
      if (made === undefined) return false
      await store.blobs.write(
        digest,
        (async function* () {
          yield made.bytes
        })(),
      )
      return true
    },
  }
}

async function warm(context: OperationContext, images: string[], platforms?: string[]) {
  const events: WarmEvent[] = []
  const params = { images, ...(platforms === undefined ? {} : { platforms }) }
  const emit = (event: unknown): void => void events.push(event as WarmEvent)
  const result = (await runOperation(context, 'warm', params, emit, { signal })) as { images: WarmedImage[] }
  return { events, images: result.images }
}

describe('warm', () => {
  it('brings an image here, and tells of each part', () =>
    inCluster([], async (context) => {
      const { events, images } = await warm(context, ['apps/web:1'])
      expect(images).toMatchObject([{ image: 'apps/web:1', parts: everything.size, missing: [] }])
      expect(events[0]).toMatchObject({
        type: 'image',
        repository: 'apps/web',
        tag: '1',
        digest: index.digest,
      })
      const states = events.flatMap((event) =>
        event.type === 'part' ? [`${event.digest} ${event.state}`] : [],
      )
      for (const digest of everything.keys()) expect(states).toContain(`${digest} here`)
      const again = await warm(context, ['localhost:5000/apps/web:1', `apps/web@${arm.digest}`])
      expect(again.images.map(({ missing }) => missing)).toEqual([[], []])
      expect(again.events.every((event) => event.type !== 'part' || event.state === 'held')).toBe(true)
    }))

  it('takes the platforms that it is told to', () =>
    inCluster([], async (context) => {
      await warm(context, ['apps/web:1'], ['linux/arm64'])
      expect(await context.node.store.manifests.get(arm.digest)).toBeDefined()
      expect(await context.node.store.manifests.get(amd.digest)).toBeUndefined()
      await expect(warm(context, ['apps/web:1'], ['arm64'])).rejects.toMatchObject({ code: 'KEEP_RULE' })
    }))

  it('says so where no node runs, whatever is here', () =>
    inCluster([], async ({ member: _, ...stopped }) => {
      await expect(warm(stopped, ['apps/web:1'])).rejects.toMatchObject({ code: 'NOT_RUNNING' })
    }))

  it('names what is missing, and brings the rest', () => {
    const [, layer] = arm.children
    if (layer === undefined) throw new Error('an image has a layer')
    return inCluster([layer.digest, amd.digest], async (context) => {
      const { images } = await warm(context, ['apps/none:1', 'apps/web:1'])
      expect(images[0]?.missing).toEqual([expect.stringContaining('apps/none:1: ')])
      expect(images[1]?.missing).toHaveLength(2)
      expect(images[1]?.missing.join()).toContain(layer.digest)
      expect(images[1]?.missing.join()).toContain(amd.digest)
      expect(await context.node.store.manifests.get(arm.digest)).toBeDefined()
    })
  })
})

describe('the board of transfers', () => {
  const part = {
    ...makeBlob('x'),
    image: 'apps/web:1',
    kind: 'blob',
    optional: false,
    isReferrer: false,
  } as const
  const { bytes: _bytes, children: _children, ...facts } = part
  const events: WarmEvent[] = [
    {
      type: 'image',
      image: 'apps/web:1',
      repository,
      tag: parseTag('1'),
      digest: index.digest,
      mediaType: index.mediaType,
      size: index.size,
    },
    { type: 'part', ...facts, size: 2048, state: 'coming' },
    { type: 'progress', digest: facts.digest, receivedBytes: 1024 },
    { type: 'part', ...facts, size: 2048, state: 'here' },
  ]
  const shown = (isTTY: boolean): string => {
    let text = ''
    using board = openTransferBoard({ isTTY, columns: 80, rows: 24, write: (written) => (text += written) })
    for (const event of events) board.show(event)
    board.close()
    return text
  }

  it('writes a line for each thing that ends where no person looks', () => {
    expect(shown(false)).toBe(`apps/web:1 is ${index.digest}\nblob ${facts.digest}  2.0 KiB  is here\n`)
  })

  it('draws a bar on a terminal, and leaves a line', () => {
    const text = shown(true)
    expect(text).toContain(`[============            ]  1.0 KiB of 2.0 KiB\n`)
    expect(text).toContain('\u001b[1A\r\u001b[J')
    expect(text.slice(text.lastIndexOf('\u001b[J'))).not.toContain('[=')
    expect(text).toContain('is here  2.0 KiB\n')
  })
})

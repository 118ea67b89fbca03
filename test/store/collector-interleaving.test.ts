import { afterEach, beforeEach, expect, it } from 'vitest'
import { Keyed, noMetrics } from '../../src/base/base.ts'
import type { Digest } from '../../src/oci/oci.ts'
import { openDatabase, openTables } from '../../src/store/database/database.ts'
import { BlobFiles } from '../../src/store/files/blob-files.ts'
import { DiskSpace } from '../../src/store/files/disk-space.ts'
import { Claims } from '../../src/store/links/claims.ts'
import { Collector } from '../../src/store/links/collector.ts'
import { Leases } from '../../src/store/links/leases.ts'
import { LinkTable, openRecentLinks, type TableContext } from '../../src/store/links/link-table.ts'
import { ManifestTable } from '../../src/store/links/manifest-table.ts'
import {
  digestOf,
  graceMs,
  type HandClock,
  handClock,
  openAt,
  push,
  seededBytes,
  team,
  temporaryFolder,
} from './scenery.ts'

/** Files that let a test act at the moment when the collector looks at one or removes it. */
class HookedFiles extends BlobFiles {
  onStat: (() => Promise<void>) | undefined
  onRemove: (() => Promise<void>) | undefined

  override async stat(digest: Digest): ReturnType<BlobFiles['stat']> {
    const found = await super.stat(digest)
    const hook = this.onStat
    this.onStat = undefined
    await hook?.()
    return found
  }

  override async remove(digest: Digest): Promise<void> {
    await this.onRemove?.()
    await super.remove(digest)
  }
}

/** Claims that let a test act between the collector's look and its mark. */
class HookedClaims extends Claims {
  readonly beforeMark = new Map<Digest, () => Promise<void>>()

  override async remove<T>(digest: Digest, work: () => Promise<T>): Promise<T | undefined> {
    const hook = this.beforeMark.get(digest)
    this.beforeMark.delete(digest)
    await hook?.()
    return await super.remove(digest, work)
  }
}

const bytes = seededBytes(100)
const blob = digestOf(bytes)
const manifestBytes = new TextEncoder().encode('a manifest')
const manifest = digestOf(manifestBytes)

let stack: AsyncDisposableStack
let clock: HandClock
let files: HookedFiles
let claims: HookedClaims
let links: LinkTable
let manifests: ManifestTable
let collector: Collector

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  clock = handClock()
  const { path } = stack.use(await temporaryFolder())
  const writer = await openAt(path, { clock })
  await push(writer.store, bytes)
  await writer[Symbol.asyncDispose]()
  const database = stack.adopt(await openDatabase(path), (opened) => opened.close())
  claims = new HookedClaims()
  const leases = new Leases(clock, graceMs)
  const context: TableContext = {
    database,
    tables: openTables(database),
    turns: new Keyed(),
    claims,
    leases,
    recent: openRecentLinks(),
  }
  files = new HookedFiles(path)
  links = new LinkTable(context)
  manifests = new ManifestTable(context, new DiskSpace(path, 0), {
    checked: { seems: async (digest) => (await files.stat(digest)) !== undefined },
    verifier: { checkManifest: async () => undefined },
  })
  collector = new Collector(context, files, noMetrics)
  clock.advance(graceMs)
})

afterEach(async () => {
  await stack.disposeAsync()
})

const put = (): Promise<void> =>
  manifests.put({
    repository: team,
    digest: manifest,
    bytes: manifestBytes,
    references: [blob],
    required: [blob],
  })
const nothing = { blobs: 0, manifests: 0, links: 0, bytes: 0 }
const dead = { graceMs, isLive: async () => false }

it('leaves a link that is asked for after it was found idle', async () => {
  const isLive = async (): Promise<boolean> => {
    expect(await links.has(team, blob)).toBe(true)
    return false
  }
  expect(await collector.collect({ graceMs, isLive })).toEqual(nothing)
  await put()
})

it('leaves a blob that is linked and referred to after it was found unused', async () => {
  await links.remove(team, blob)
  files.onStat = async () => {
    await links.add(team, [blob])
    await put()
  }
  expect(await collector.collect(dead)).toEqual(nothing)
  expect(await files.stat(blob)).toBeDefined()
})

it('makes who links a blob wait while it is being removed, and then says that it is gone', async () => {
  await links.remove(team, blob)
  let linked: Promise<void> | undefined
  let waited = true
  files.onRemove = async () => {
    linked = links.add(team, [blob]).then(() => {
      waited = false
    })
    // As long as any write could take.
    await links.add(team, [manifest])
    expect(waited).toBe(true)
  }
  expect(await collector.collect(dead)).toMatchObject({ blobs: 1 })
  await linked
  await expect(put()).rejects.toMatchObject({ code: 'BLOB_MISSING', digests: [blob] })
})

it('leaves a manifest that is stored again after it was found unused', async () => {
  await put()
  await manifests.remove(team, manifest, async () => false)
  claims.beforeMark.set(manifest, put)
  expect(await collector.collect({ graceMs: 3 * graceMs, isLive: dead.isLive })).toEqual(nothing)
  expect(claims.beforeMark.size, 'the collector was about to take it').toBe(0)
  expect(await manifests.get(manifest)).toEqual(Buffer.from(manifestBytes))
})

it('runs one collection after the other', async () => {
  const [first, second] = await Promise.all([collector.collect(dead), collector.collect(dead)])
  expect(first).toMatchObject({ blobs: 1, links: 1 })
  expect(second).toEqual(nothing)
})

import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Digest, Repository } from '../../src/oci/oci.ts'
import { type CollectOptions, memoryStore, type Store } from '../../src/store/store.ts'
import {
  digestOf,
  graceMs,
  type HandClock,
  handClock,
  inChunks,
  listAll,
  openAt,
  other,
  push,
  seededBytes,
  team,
  temporaryFolder,
} from './scenery.ts'

/** Few names, so that the operations meet each other. */
const repositories: Repository[] = [team, other]
const blobs = [0, 1, 2, 3].map((index) => seededBytes(10 + index, index))
/** Each refers to some blobs, and to some of the manifests before it, as an index does. */
const manifests = [[0], [0, 1], [2, 4], [3, 5, 6]].map((refers, index) => ({
  bytes: new TextEncoder().encode(`manifest ${index}`),
  refers,
}))
const items = [...blobs, ...manifests.map(({ bytes }) => bytes)].map((bytes) => ({
  bytes,
  digest: digestOf(bytes),
}))

/** Of what is live and has no tag. */
const keepMs = 3 * graceMs

type Step =
  | { kind: 'push' | 'write'; blob: number; repository: number }
  | {
      kind: 'put' | 'build' | 'remove' | 'publish' | 'untag' | 'retract'
      manifest: number
      repository: number
    }
  | { kind: 'has' | 'add' | 'unlink'; item: number; repository: number }
  | { kind: 'mount'; item: number }
  | { kind: 'wait'; ms: number }
  | { kind: 'collect'; dryRun: boolean }

const index = (length: number): fc.Arbitrary<number> => fc.nat({ max: length - 1 })
const repository = index(repositories.length)
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('push', 'write'), blob: index(blobs.length), repository }),
  fc.record({
    kind: fc.constantFrom('put', 'build', 'build', 'remove', 'publish', 'publish', 'untag', 'retract'),
    manifest: index(manifests.length),
    repository,
  }),
  fc.record({ kind: fc.constantFrom('has', 'add', 'unlink'), item: index(items.length), repository }),
  fc.record({ kind: fc.constant('mount'), item: index(items.length) }),
  fc.record({ kind: fc.constant('wait'), ms: fc.constantFrom(1, graceMs / 2, graceMs - 1, graceMs, keepMs) }),
  fc.record({ kind: fc.constant('collect'), dryRun: fc.boolean() }),
)

/** The rules of `store.ts`, without a thought for speed. Leases are exact here; the store may hold one for longer, never shorter. */
class Model {
  readonly clock: HandClock
  readonly links = new Map<string, number>()
  readonly children = new Map<string, number[]>()
  readonly stored = new Map<number, number>()
  readonly live = new Set<string>()
  readonly tagged = new Set<string>()
  /** Since when it was seen without a tag. */
  readonly untagged = new Map<string, number>()

  constructor(clock: HandClock) {
    this.clock = clock
  }

  isYoung(ms: number | undefined): boolean {
    return ms !== undefined && this.clock.now() - ms < graceMs
  }

  key(repository: number, item: number): string {
    return `${repository} ${item}`
  }

  unlink(repository: number, item: number): boolean {
    const key = this.key(repository, item)
    this.children.delete(key)
    this.untagged.delete(key)
    return this.links.delete(key)
  }

  isReferred(item: number, repository?: number): boolean {
    return [...this.children].some(
      ([key, children]) =>
        children.includes(item) && (repository === undefined || key.startsWith(`${repository} `)),
    )
  }

  isNeeded(item: number): boolean {
    return this.isReferred(item) || [...this.links.keys()].some((key) => key.endsWith(` ${item}`))
  }

  isGone(key: string, lease: number, isOrphan: boolean): boolean {
    if (!this.live.has(key)) return true
    if (this.tagged.has(key)) {
      this.untagged.delete(key)
      return false
    }
    const now = this.clock.now()
    const since = this.untagged.get(key) ?? now
    this.untagged.set(key, since)
    return (isOrphan || now - since >= keepMs) && now - lease >= keepMs
  }

  /** What `collect` would take stays, and what it sees was seen. */
  look(): void {
    const { links, children, stored, live, tagged, untagged } = this
    const copies = { links: new Map(links), children: new Map(children), stored: new Map(stored) }
    Object.assign(new Model(this.clock), copies, { live, tagged, untagged }).take()
  }

  collect(): void {
    for (const key of this.take()) this.untagged.delete(key)
  }

  /** Takes away one thing after the other until there is nothing left to take; returns the links. */
  take(): string[] {
    const taken: string[] = []
    const orphans = new Set<string>()
    for (let changed = true; changed; ) {
      changed = false
      for (const [key, lease] of this.links) {
        const [repositoryPart = '', item = ''] = key.split(' ')
        if (this.isYoung(lease) || this.isReferred(Number(item), Number(repositoryPart))) continue
        if (!this.isGone(key, lease, orphans.has(key))) continue
        for (const child of this.children.get(key) ?? []) orphans.add(`${repositoryPart} ${child}`)
        this.links.delete(key)
        this.children.delete(key)
        taken.push(key)
        changed = true
      }
    }
    for (const [item, storedMs] of this.stored) {
      const leased = item < blobs.length && this.isYoung(storedMs)
      if (!leased && !this.isNeeded(item)) this.stored.delete(item)
    }
    return taken
  }
}

function digestAt(item: number): Digest {
  const found = items[item]
  if (found === undefined) throw new RangeError(`there is no item ${item}`)
  return found.digest
}

function bytesAt(item: number): Uint8Array {
  return Uint8Array.from(items[item]?.bytes ?? [])
}

function repositoryAt(index: number): Repository {
  return repositories[index] ?? team
}

async function take(store: Store, model: Model, step: Step): Promise<void> {
  const now = model.clock.now()
  const touch = (repository: number, item: number): void => {
    model.links.set(model.key(repository, item), now)
  }
  switch (step.kind) {
    case 'push':
      await push(store, bytesAt(step.blob), repositoryAt(step.repository))
      model.stored.set(step.blob, now)
      touch(step.repository, step.blob)
      return
    case 'write':
      await store.blobs.write(digestAt(step.blob), inChunks(bytesAt(step.blob)))
      model.stored.set(step.blob, now)
      return
    case 'put': {
      const item = blobs.length + step.manifest
      const refers = manifests[step.manifest]?.refers ?? []
      const references = refers.map(digestAt)
      const missing = refers.filter(
        (child) => !model.links.has(model.key(step.repository, child)) || !model.stored.has(child),
      )
      const put = store.manifests.put({
        repository: repositoryAt(step.repository),
        digest: digestAt(item),
        bytes: bytesAt(item),
        references,
        required: references,
      })
      if (missing.length > 0) {
        await expect(put).rejects.toMatchObject({ code: 'BLOB_MISSING', digests: missing.map(digestAt) })
        return
      }
      await put
      model.stored.set(item, now)
      model.children.set(model.key(step.repository, item), refers)
      touch(step.repository, item)
      return
    }
    // As a client pushes an image: what it refers to first.
    case 'build':
      for (const child of manifests[step.manifest]?.refers ?? [])
        await take(
          store,
          model,
          child < blobs.length
            ? { kind: 'push', blob: child, repository: step.repository }
            : { kind: 'build', manifest: child - blobs.length, repository: step.repository },
        )
      return await take(store, model, { ...step, kind: 'put' })
    case 'remove': {
      const item = blobs.length + step.manifest
      const remove = store.manifests.remove(repositoryAt(step.repository), digestAt(item), async () => false)
      expect(await remove).toBe(model.unlink(step.repository, item))
      return
    }
    case 'unlink':
      return await unlink(store, model, step.repository, step.item)
    case 'publish':
      for (const names of [model.live, model.tagged])
        names.add(model.key(step.repository, blobs.length + step.manifest))
      return
    case 'untag':
      model.tagged.delete(model.key(step.repository, blobs.length + step.manifest))
      return
    case 'retract':
      model.live.delete(model.key(step.repository, blobs.length + step.manifest))
      return
    case 'has': {
      const known = model.links.has(model.key(step.repository, step.item))
      expect(await store.links.has(repositoryAt(step.repository), digestAt(step.item))).toBe(known)
      if (known) touch(step.repository, step.item)
      return
    }
    case 'add':
      await store.links.add(repositoryAt(step.repository), [digestAt(step.item)])
      touch(step.repository, step.item)
      return
    case 'mount': {
      const found = await store.links.anyRepository(digestAt(step.item))
      if (found === undefined)
        expect([...model.links.keys()].filter((key) => key.endsWith(` ${step.item}`))).toEqual([])
      else touch(repositories.indexOf(found), step.item)
      return
    }
    case 'wait':
      model.clock.advance(step.ms)
      return
    case 'collect':
      return await collect(store, model, step.dryRun)
  }
}

async function unlink(store: Store, model: Model, repository: number, item: number): Promise<void> {
  const isManifest = model.children.has(model.key(repository, item))
  const known = isManifest ? false : model.unlink(repository, item)
  expect(await store.links.remove(repositoryAt(repository), digestAt(item))).toBe(known)
}

async function collect(store: Store, model: Model, dryRun: boolean): Promise<void> {
  const isIn = (names: Set<string>, repository: Repository, digest: Digest): boolean => {
    const item = items.findIndex((each) => each.digest === digest)
    return names.has(model.key(repositories.indexOf(repository), item))
  }
  const options: CollectOptions = {
    isLive: async (repository, digest) => isIn(model.live, repository, digest),
    untagging: {
      keepMs,
      find: async (repository, digest) =>
        isIn(model.tagged, repository, digest) ? undefined : { statedMs: 0 },
    },
    graceMs,
  }
  const before = await contents(store)
  const planned = await store.collect({ ...options, dryRun: true })
  expect(await contents(store)).toEqual(before)
  model.look()
  if (dryRun) return
  expect(await store.collect(options)).toEqual(planned)
  model.collect()
  expect(await contents(store)).toEqual([...model.stored.keys()].map(digestAt).sort())
}

async function contents(store: Store): Promise<Digest[]> {
  const listed = await listAll(store.blobs.list())
  return [...listed.map(({ digest }) => digest), ...(await listAll(store.manifests.list()))].sort()
}

async function agrees(store: Store, clock: HandClock, steps: Step[]): Promise<void> {
  const model = new Model(clock)
  for (const each of [...steps, { kind: 'collect', dryRun: false } as const]) await take(store, model, each)
}

it('collects as the rules say, in memory', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const clock = handClock()
      await agrees(memoryStore({ clock }), clock, steps)
    }),
    { numRuns: 300 },
  )
})

it('collects as the rules say, in files', { timeout: 60_000 }, async () => {
  await using folder = await temporaryFolder()
  const clock = handClock()
  // With leases that are always renewed, so that the model needs not know when they are.
  await using opened = await openAt(folder.path, { clock, graceMs: 0 })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      await agrees(opened.store, clock, steps)
      // The next run begins with nothing.
      clock.advance(graceMs)
      await opened.store.collect({ graceMs, isLive: async () => false })
      expect(await contents(opened.store)).toEqual([])
    }),
    { numRuns: 40 },
  )
})

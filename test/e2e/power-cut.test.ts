/** The power goes at any moment: what was acknowledged is there, and nothing is there that is not what its name says. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { digestBytes, parseDigest, parseRepository, parseTag } from '../../src/oci/oci.ts'
import { type Choice, everythingKept, everythingLost, RecordedDisk } from '../power-cut/disk.ts'
import { callsOf } from '../power-cut/present.ts'
import { trace } from '../power-cut/trace.ts'
import {
  blobBytes,
  blobDigest,
  blobFact,
  blobNames,
  type Facts,
  manifestOf,
  type Node,
  openNode,
  repositories,
  work,
} from '../power-cut/work.ts'
import { seededNumbers } from '../store/random.ts'
import { readBlob } from '../store/scenery.ts'
import { type GoldenData, unpackGolden } from './golden-data.ts'
import { requires } from './requirement.ts'

const randomCuts = 25
/** Every step of an upgrade is a moment for the power to go, but opening a node takes its time. */
const stride = 3
const tornCuts = 10
const writer = fileURLToPath(new URL('../power-cut/writer.ts', import.meta.url))

/** What each thing may be after a cut: what was acknowledged last, or what was begun since. */
interface Expected {
  identity: string | undefined
  facts: Map<string, Set<string>>
}

function expectedAfter(disk: RecordedDisk, steps: number): Expected {
  const expected: Expected = { identity: undefined, facts: new Map() }
  const printed = disk.steps.slice(0, steps).flatMap((step) => (step.type === 'printed' ? [step.text] : []))
  for (const line of printed.join('').split('\n')) {
    const [what, first = '', column = ''] = line.split(' ')
    if (what === 'identity') expected.identity = first
    if (what !== 'begin' && what !== 'done') continue
    const { facts = {}, possible = {} } = work[Number(first)]?.[Number(column)] ?? {}
    const add = (more: Facts, isCertain: boolean): void => {
      for (const [name, value] of Object.entries(more)) {
        const before = isCertain ? [] : (expected.facts.get(name) ?? [''])
        expected.facts.set(name, new Set([...before, value]))
      }
    }
    add(facts, what === 'done')
    add(possible, false)
  }
  return expected
}

describe('after a power cut', { timeout: 110_000, ...requires('linux', 'strace') }, () => {
  let disk: RecordedDisk
  const steps = (): number[] => disk.steps.map((_, index) => index + 1)
  const acknowledged = (): number[] =>
    steps().filter((count) => {
      const step = disk.steps[count - 1]
      return step?.type === 'printed' && !step.text.startsWith('begin')
    })

  beforeAll(async () => {
    await using scratch = await openFolder()
    const [data, traces] = [path.join(scratch.folder, 'data'), path.join(scratch.folder, 'traces')]
    await Promise.all([mkdir(data, { mode: 0o700 }), mkdir(traces)])
    disk = new RecordedDisk(data, await trace([writer, data], traces))
  })

  const check = (count: number, choice: Choice): Promise<void> => checkCut(disk, count, choice)

  it('everything that was acknowledged is there, whatever of the rest was lost', async () => {
    for (const count of acknowledged()) await check(count, everythingLost)
  })

  it('everything that was acknowledged is there when names outlive their bytes', async () => {
    for (const count of acknowledged()) await check(count, { ...everythingLost, names: 1 })
  })

  it('a cut at any moment leaves what was acknowledged, some of the rest, and no lies', async () => {
    const random = seededNumbers(20_261_126)
    for (let cut = 0; cut < randomCuts; cut++) {
      const count = Math.floor(random() * disk.steps.length)
      await check(count, { names: random(), keeps: torn(random) })
    }
    await check(disk.steps.length, everythingKept)
  })
})

describe('after a power cut in an upgrade', {
  timeout: 110_000,
  ...requires('linux', 'strace', 'tar'),
}, () => {
  let disk: RecordedDisk
  let golden: GoldenData
  /** How many steps it takes to make what an earlier version left. */
  let before: number

  beforeAll(async () => {
    await using scratch = await openFolder()
    golden = await unpackGolden(1, scratch.folder)
    const [data, traces] = [path.join(scratch.folder, 'data'), path.join(scratch.folder, 'traces')]
    await mkdir(traces)
    const present = await callsOf(data)
    before = new RecordedDisk(data, present).steps.length
    disk = new RecordedDisk(data, [...present, ...(await trace([writer, data, '2'], traces))])
  })

  /** All that the earlier version had acknowledged. */
  async function checkGolden({ local: { membership, names, store } }: Node): Promise<void> {
    expect(membership.identity.peerId).toBe(golden.peer)
    expect(names.policy().immutable).toHaveLength(1)
    const repository = parseRepository(golden.repository)
    expect(await names.listTags(repository, { limit: 100 })).toEqual(Object.keys(golden.tags).sort())
    for (const [tag, digest] of Object.entries(golden.tags)) {
      expect((await names.findTag(repository, parseTag(tag)))?.digest).toBe(digest)
      expect(digestBytes((await store.manifests.get(parseDigest(digest))) ?? Buffer.of())).toBe(digest)
    }
    for (const digest of golden.blobs.map(parseDigest)) {
      expect(await store.links.has(repository, digest)).toBe(true)
      expect(digestBytes((await readBlob(store, digest)) ?? Buffer.of())).toBe(digest)
    }
    const { subject, digest } = golden.referrer
    const referrers = await names.listReferrers(repository, parseDigest(subject), { limit: 10 })
    expect(referrers.map((referrer) => referrer.digest)).toEqual([digest])
  }

  it('a cut at any moment leaves what was there, and what was acknowledged since', async () => {
    expect(disk.steps.length).toBeGreaterThan(before)
    // Steps in turn lose all, and keep the names of what they lost.
    for (let count = before, names = 0; count <= disk.steps.length; count += stride, names = 1 - names)
      await checkCut(disk, count, { ...everythingLost, names }, checkGolden)
    await checkCut(disk, disk.steps.length, everythingKept, checkGolden)
  })

  it('a torn write leaves it, too', async () => {
    const random = seededNumbers(20_261_127)
    for (let cut = 0; cut < tornCuts; cut++) {
      const count = before + Math.floor(random() * (disk.steps.length - before))
      await checkCut(disk, count, { names: random(), keeps: torn(random) }, checkGolden)
    }
  })
})

/** In memory: nothing here is lost by what this machine does. */
async function openFolder() {
  const folder = await mkdtemp(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'shoal-power-'))
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }
}

async function checkCut(
  disk: RecordedDisk,
  count: number,
  choice: Choice,
  also: (node: Node) => Promise<void> = async () => undefined,
): Promise<void> {
  await using scratch = await openFolder()
  const data = scratch.folder
  await disk.rebuild(data, count, choice)
  const expected = expectedAfter(disk, count)
  await using node = await openNode(data)
  if (expected.identity !== undefined) expect(node.local.membership.identity.peerId).toBe(expected.identity)
  for (const [name, values] of expected.facts) expect([...values], name).toContain(await findFact(node, name))
  await also(node)
  await checkTags(node)
  await checkFiles(path.join(data, 'blobs'))
}

const torn =
  (random: () => number) =>
  (length: number): number => {
    const chance = random()
    return chance < 0.4 ? 0 : chance < 0.8 ? length : Math.floor(random() * length)
  }

/** What it is here, as `work.ts` says of each fact. */
async function findFact({ local: { store, names } }: Node, fact: string): Promise<string> {
  for (const repository of repositories) {
    for (const name of blobNames) {
      if (fact !== blobFact(repository, name)) continue
      if (!(await store.links.has(repository, blobDigest(name)))) return ''
      // A link promises what it leads to.
      return (await findBlob(store, name)) || 'promised'
    }
    if (fact.startsWith(`${repository}:`)) {
      return (await names.findTag(repository, parseTag(fact.slice(repository.length + 1))))?.digest ?? ''
    }
    if (fact.startsWith(`${repository}@`)) {
      const digest = fact.slice(repository.length + 1)
      for (const layers of [['small', 'middle'], ['large'], ['small'], ['moved'], ['doomed']] as const) {
        const manifest = manifestOf([...layers])
        if (
          manifest.digest !== digest ||
          (await names.findManifest(repository, manifest.digest)) === undefined
        )
          continue
        const bytes = await store.manifests.get(manifest.digest)
        return bytes !== undefined && digestBytes(bytes) === digest ? 'here' : 'wrong'
      }
      return ''
    }
  }
  return await findBlob(store, fact as (typeof blobNames)[number])
}

async function findBlob(store: Node['local']['store'], name: (typeof blobNames)[number]): Promise<string> {
  const bytes = await readBlob(store, blobDigest(name))
  if (bytes === undefined) return ''
  return Buffer.compare(bytes, blobBytes(name)) === 0 ? 'here' : 'wrong'
}

/** Whatever a tag leads to can be pulled. */
async function checkTags({ local: { store, names } }: Node): Promise<void> {
  for (const repository of repositories) {
    for (const tag of await names.listTags(repository, { limit: 100 })) {
      const entry = await names.findTag(repository, tag)
      if (entry === undefined) throw new Error(`${tag} is listed and not there`)
      const bytes = await store.manifests.get(entry.digest)
      expect(bytes, `${repository}:${tag}`).toBeDefined()
      const { config, layers } = JSON.parse(Buffer.from(bytes ?? []).toString())
      for (const { digest } of [config, ...layers]) {
        expect(await store.links.has(repository, digest), `${repository}:${tag} ${digest}`).toBe(true)
        const blob = await readBlob(store, digest)
        expect(blob === undefined ? undefined : digestBytes(blob)).toBe(digest)
      }
    }
  }
}

/** No unproven byte has a digest's name. */
async function checkFiles(blobs: string): Promise<void> {
  for (const entry of await readdir(blobs, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const bytes = await readFile(path.join(entry.parentPath, entry.name))
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(entry.name)
  }
}

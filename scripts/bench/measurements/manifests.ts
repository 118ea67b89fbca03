/**
 * GET and HEAD of a manifest by tag over 64 connections, alone and while two large blobs are pushed. A bare node:http server
 * takes part when they are alone: it says what the machine lets Node do at that moment.
 */
import path from 'node:path'
import { bareHttp } from '../bare-http.ts'
import { type Bench, type Measurement, makeBlobs, openFolder, openPair, settle, sizeText } from '../bench.ts'
import type { BlobFile } from '../content.ts'
import { runHeadLoad } from '../head-load.ts'
import { manifestType, pushSmallImage } from '../image.ts'
import type { Line, Reach } from '../line.ts'
import { pushBlob } from '../load.ts'
import { openRegistry, type Registry } from '../subject.ts'
import { connections, type LoadResult, type LoadTarget, runWrk } from '../wrk.ts'

const repository = 'bench/manifests'
const tag = 'latest'
const warmUpSeconds = 1

type Load = typeof runWrk

interface Run {
  what: string
  rateReach: Reach
  p99Reach: Reach
  load: (registry: Registry) => Promise<LoadResult>
  /** Whether the bare server is measured too. */
  withBare: boolean
}

interface Sides {
  shoal: Registry
  reference: Registry
  bare: Registry
}

export const manifests: Measurement = {
  name: 'manifests',
  async run(bench) {
    await using folder = await openFolder(bench, 'manifests')
    const files = await makeBlobs(bench, folder.path, 2, bench.blobBytes)
    await using pair = await openPair(bench, folder.path)
    await using bare = await openRegistry(bareHttp, path.join(folder.path, 'bare'), bench)
    for (const registry of [pair.shoal, pair.reference]) {
      await pushSmallImage(registry, repository, tag, bench)
      for (const load of [runWrk, runHeadLoad]) await load(targetOf(registry, warmUpSeconds), bench)
    }
    const lines: Line[] = []
    for (const run of runsOf(bench, files)) lines.push(...(await measure(bench, { ...pair, bare }, run)))
    return lines
  },
}

function runsOf(bench: Bench, files: BlobFile[]): Run[] {
  const alone = (load: Load) => (registry: Registry) => load(targetOf(registry, bench.loadSeconds), bench)
  const busy = (load: Load) => (registry: Registry) => loadWhilePushing(bench, registry, files, load)
  const quick = {
    rateReach: { kind: 'ratio', atLeast: 15 },
    p99Reach: { kind: 'value', under: 5 },
    withBare: true,
  } as const
  const calm = {
    rateReach: { kind: 'none' },
    p99Reach: { kind: 'value', under: 10 },
    withBare: false,
  } as const
  const during = `while 2 × ${sizeText(bench.blobBytes)} are pushed`
  return [
    { what: 'manifest GET by tag', ...quick, load: alone(runWrk) },
    { what: 'manifest HEAD by tag', ...quick, load: alone(runHeadLoad) },
    { what: `manifest GET ${during}`, ...calm, load: busy(runWrk) },
    { what: `manifest HEAD ${during}`, ...calm, load: busy(runHeadLoad) },
  ]
}

async function measure(bench: Bench, sides: Sides, run: Run): Promise<Line[]> {
  bench.say(`${run.what}, ${connections} connections`)
  const results = { shoal: [] as LoadResult[], reference: [] as LoadResult[], bare: [] as LoadResult[] }
  for (let turn = 0; turn < bench.reps; turn += 1) {
    for (const side of ['shoal', 'reference', 'bare'] as const) {
      if (side === 'bare' && !run.withBare) continue
      await settle(bench)
      results[side].push(await run.load(sides[side]))
    }
  }
  const lines = (what: string, own: LoadResult[], rateReach: Reach, p99Reach: Reach): Line[] => {
    const samples = (field: keyof LoadResult) => ({
      shoal: own.map((result) => result[field]),
      reference: results.reference.map((result) => result[field]),
    })
    return [
      { what, unit: 'req/s', ...samples('perSecond'), reach: rateReach },
      { what: `${what}, p99`, unit: 'ms', ...samples('p99Ms'), reach: p99Reach },
    ]
  }
  const none = { kind: 'none' } as const
  const bare = run.withBare ? lines(`· bare node:http instead of Shoal`, results.bare, none, none) : []
  return [...lines(run.what, results.shoal, run.rateReach, run.p99Reach), ...bare]
}

/** Runs the load, and pushes new blobs one after the other on two connections for as long as it lasts. */
async function loadWhilePushing(
  bench: Bench,
  registry: Registry,
  files: BlobFile[],
  load: Load,
): Promise<LoadResult> {
  let over = false
  const pushing = files.map(async (file) => {
    while (!over) await pushBlob(registry, repository, await file.renew(), bench)
  })
  const loading = load(targetOf(registry, bench.loadSeconds), bench).finally(() => {
    over = true
  })
  const [result] = await Promise.all([loading, ...pushing])
  return result
}

function targetOf(registry: Registry, seconds: number): LoadTarget {
  return { url: `${registry.url}/v2/${repository}/manifests/${tag}`, accept: manifestType, seconds }
}

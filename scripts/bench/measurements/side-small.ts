/** Small things beside docker-registry: pushes of 4 KiB by both shapes that clients use, a GET of such a blob, and a manifest by tag. */
import { randomBytes } from 'node:crypto'
import { type Bench, type Pair, type Samples, settle } from '../bench.ts'
import { manifestType, pushSmallImage } from '../image.ts'
import type { Line } from '../line.ts'
import { pushBytes } from '../load.ts'
import { processorMs } from '../processor.ts'
import { type PushShape, runPushLoad } from '../push-load.ts'
import type { Registry } from '../subject.ts'
import { connections, runWrk } from '../wrk.ts'

const repository = 'bench/small'
const smallBytes = 4096
const pushers = 8
const warmUpSeconds = 1
const sides = ['shoal', 'reference'] as const

/** Of the registry, for so many seconds; resolves to how many were answered in one. */
type Load = (registry: Registry, seconds: number) => Promise<number>

interface Row {
  what: string
  unit: 'push/s' | 'req/s'
  atLeast: number
  load: Load
}

export async function smallThings(bench: Bench, pair: Pair): Promise<Line[]> {
  const content = randomBytes(smallBytes)
  const digest = await pushBytes(pair.shoal, repository, content, bench)
  await pushBytes(pair.reference, repository, content, bench)
  for (const each of sides) await pushSmallImage(pair[each], repository, 'latest', bench)
  const lines: Line[] = []
  for (const row of rowsOf(bench, digest)) lines.push(...(await measure(bench, pair, row)))
  return lines
}

function rowsOf(bench: Bench, digest: string): Row[] {
  const pushes =
    (shape: PushShape): Load =>
    async ({ url }, seconds) =>
      await runPushLoad({ url, repository, shape, bytes: smallBytes, clients: pushers, seconds }, bench)
  const reads =
    (place: string, accept: string): Load =>
    async ({ url }, seconds) =>
      (await runWrk({ url: `${url}/v2/${repository}/${place}`, accept, seconds }, bench)).perSecond
  return [
    {
      what: `push of 4 KiB by POST and PUT, ${pushers} clients`,
      unit: 'push/s',
      atLeast: 4,
      load: pushes('put'),
    },
    {
      what: `push of 4 KiB by POST, PATCH and PUT, ${pushers} clients`,
      unit: 'push/s',
      atLeast: 4,
      load: pushes('patch'),
    },
    {
      what: `GET of a 4 KiB blob, ${connections} connections`,
      unit: 'req/s',
      atLeast: 30,
      load: reads(`blobs/${digest}`, '*/*'),
    },
    {
      what: `GET of a manifest by tag, ${connections} connections`,
      unit: 'req/s',
      atLeast: 20,
      load: reads('manifests/latest', manifestType),
    },
  ]
}

async function measure(bench: Bench, pair: Pair, { what, unit, atLeast, load }: Row): Promise<Line[]> {
  bench.say(what)
  for (const each of sides) await load(pair[each], warmUpSeconds)
  const rates: Samples = { shoal: [], reference: [] }
  const costs: Samples = { shoal: [], reference: [] }
  for (let turn = 0; turn < bench.reps; turn += 1) {
    for (const each of sides) {
      const { pid } = pair[each]
      await settle(bench)
      const beforeMs = await processorMs(pid)
      const perSecond = await load(pair[each], bench.loadSeconds)
      rates[each].push(perSecond)
      costs[each].push(((await processorMs(pid)) - beforeMs) / (perSecond * bench.loadSeconds))
    }
  }
  return [
    { what, unit, ...rates, reach: { kind: 'ratio', atLeast } },
    { what: '· processor for each', unit: 'ms', ...costs, reach: { kind: 'none' } },
  ]
}

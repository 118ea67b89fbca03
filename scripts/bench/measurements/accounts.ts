/**
 * GET of a manifest by tag, and a pull of all of an image, with a login, at a node with 1,000 accounts and 1,000 rules of which the
 * last decides, beside a node without any, whose figures stand in the reference's column; the first question with a password; and
 * the same GET while wrong passwords come, beside while none do. Both sides take turns within each turn, warm, second by second or
 * pull by pull: what the machine does meanwhile, and what V8 has compiled by then, is the same for both.
 */
import { Agent } from 'node:http'
import path from 'node:path'
import { callRunningNode } from '../../../node/admin/client.ts'
import { type Bench, type Measurement, openFolder, type Samples, settle } from '../bench.ts'
import { Guesser } from '../guess-load.ts'
import { manifestType, pushSmallImage } from '../image.ts'
import type { Line } from '../line.ts'
import { AnswerError, expectStatus, type RequestOptions } from '../request.ts'
import { median } from '../statistics.ts'
import { openRegistry, type Registry } from '../subject.ts'
import { alternate, medians } from '../windows.ts'
import { connections, type LoadResult, runWrk } from '../wrk.ts'

const repository = 'bench/manifests'
const tag = 'latest'
const many = 1000
const warmUpSeconds = 2
const windowSeconds = 1
const guesses = 10_000
const who = { name: 'ann', password: 'the bench’s password' }
const pullsEach = 200
const warmUpPulls = 200
const signInsEach = 10
const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
const login = basic(who.name, who.password)
const personOf = (n: number): string => `person-${n}`

interface Part {
  digest: string
}

interface Sides {
  governed: Registry
  open: Registry
}

export const accounts: Measurement = {
  name: 'accounts',
  async run(bench) {
    await using folder = await openFolder(bench, 'accounts')
    await using governed = await openRegistry(bench.shoal, path.join(folder.path, 'governed'), bench)
    await using open = await openRegistry(bench.shoal, path.join(folder.path, 'open'), bench)
    for (const registry of [governed, open]) await pushSmallImage(registry, repository, tag, bench)
    bench.say(`${many} accounts and ${many} rules`)
    await govern(governed, bench.reps * signInsEach)
    for (const registry of [governed, open]) await load(bench, registry, registry === governed, warmUpSeconds)
    const sides = { governed, open }
    return [
      ...(await asked(bench, sides)),
      await pulled(bench, sides),
      await signedInAt(bench, governed),
      ...(await guessedAt(bench, governed)),
    ]
  },
}

async function asked(bench: Bench, { governed, open }: Sides): Promise<Line[]> {
  bench.say(`manifest GET by tag with a login and without, ${connections} connections`)
  const withLogin: LoadResult[] = []
  const without: LoadResult[] = []
  for (let turn = 0; turn < bench.reps; turn += 1) {
    await settle(bench)
    const [one, other] = await alternate(
      bench.loadSeconds,
      () => load(bench, governed, true, windowSeconds),
      () => load(bench, open, false, windowSeconds),
    )
    withLogin.push(middleOf(one))
    without.push(middleOf(other))
  }
  const samples = (field: keyof LoadResult) => ({
    shoal: withLogin.map((result) => result[field]),
    reference: without.map((result) => result[field]),
  })
  const what = 'manifest GET by tag with a login, beside without'
  return [
    { what, unit: 'req/s', ...samples('perSecond'), reach: { kind: 'ratio', atLeast: 0.9 } },
    { what: `${what}, p99`, unit: 'ms', ...samples('p99Ms'), reach: { kind: 'none' } },
  ]
}

function middleOf(windows: LoadResult[]): LoadResult {
  return { perSecond: medians(windows, 'perSecond'), p99Ms: medians(windows, 'p99Ms') }
}

/** Manifest, config and layers of a small image, one after the other on one connection, as one client would; the p50 of a turn. */
async function pulled({ reps, signal, say }: Bench, { governed, open }: Sides): Promise<Line> {
  say(`pulls of an image with a login and without, ${pullsEach} each`)
  const [own, others] = [openAgent(), openAgent()]
  const pullBoth = (count: number): Promise<[number[], number[]]> =>
    alternate(
      count,
      () => pullTime(governed, { agent: own, headers: { authorization: login }, signal }),
      () => pullTime(open, { agent: others, signal }),
    )
  const [shoal, reference]: [number[], number[]] = [[], []]
  await pullBoth(warmUpPulls)
  for (let turn = 0; turn < reps; turn += 1) {
    const [one, other] = await pullBoth(pullsEach)
    shoal.push(median(one))
    reference.push(median(other))
  }
  for (const agent of [own, others]) agent.destroy()
  const what = 'pull of an image of ten small layers with a login, beside without, p50'
  return { what, unit: 'ms', shoal, reference, reach: { kind: 'ratio at most', times: 1.1 } }
}

function openAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1 })
}

async function pullTime({ url }: Registry, options: RequestOptions): Promise<number> {
  const get = (what: string) => expectStatus(200, `${url}/v2/${repository}/${what}`, options)
  const startedMs = performance.now()
  const { body } = await get(`manifests/${tag}`)
  const { config, layers } = JSON.parse(body.toString()) as Record<'config', Part> & { layers: Part[] }
  for (const { digest } of [config, ...layers]) await get(`blobs/${digest}`)
  return performance.now() - startedMs
}

/** As `docker login` asks: `/v2/` with a password that the node has not seen yet; the p50 of a turn. */
async function signedInAt({ signal, reps, say }: Bench, { url }: Registry): Promise<Line> {
  say(`sign-ins with a password that is new to the node, ${signInsEach} each turn`)
  const shoal: number[] = []
  for (let turn = 0; turn < reps; turn += 1) {
    const times: number[] = []
    for (let n = 0; n < signInsEach; n += 1) {
      const authorization = basic(personOf(turn * signInsEach + n), who.password)
      const startedMs = performance.now()
      await expectStatus(200, `${url}/v2/`, { headers: { authorization }, signal })
      times.push(performance.now() - startedMs)
    }
    shoal.push(median(times))
  }
  return { what: 'sign-in, p50', unit: 'ms', shoal, reference: [], reach: { kind: 'value', under: 120 } }
}

/** As many in each turn as a guesser has answered while pulls go on, a part of them in each window; then beside as many right ones. */
async function guessedAt(bench: Bench, registry: Registry): Promise<Line[]> {
  bench.say(`the same while ${guesses} wrong passwords come`)
  using guesser = new Guesser(`${registry.url}/v2/`, bench)
  const share = { count: Math.ceil(guesses / bench.loadSeconds), ms: windowSeconds * 1000 }
  const calmly = () => load(bench, registry, true, windowSeconds)
  const during = async (given: { login?: string }, right: string[]): Promise<LoadResult> => {
    const [result, answers] = await Promise.all([calmly(), guesser.guess({ ...share, ...given })])
    const others = Object.keys(answers).filter((status) => !right.includes(status))
    if (others.length > 0) throw new AnswerError(`the passwords were answered with ${others.join(', ')}`)
    return result
  }
  const guessed = () => during({}, ['401', '429'])
  const rightly = () => during({ login }, ['200'])
  const beside: Samples = { shoal: [], reference: [] }
  const besideRight: Samples = { shoal: [], reference: [] }
  for (const warm of [guessed, rightly]) await warm()
  for (let turn = 0; turn < bench.reps; turn += 1) {
    await settle(bench)
    for (const [turns, reference] of [
      [beside, calmly],
      [besideRight, rightly],
    ] as const) {
      const [one, other] = await alternate(bench.loadSeconds, guessed, reference)
      turns.shoal.push(medians(one, 'p99Ms'))
      turns.reference.push(medians(other, 'p99Ms'))
    }
  }
  const what = `manifest GET by tag while ${guesses} wrong passwords come, p99`
  const reach = { kind: 'ratio at most', times: 1.5 } as const
  return [
    { what, unit: 'ms', ...beside, reach },
    { what: `${what} · beside as many right ones`, unit: 'ms', ...besideRight, reach },
  ]
}

function load(bench: Bench, registry: Registry, signsIn: boolean, seconds: number): Promise<LoadResult> {
  const url = `${registry.url}/v2/${repository}/manifests/${tag}`
  const headers = signsIn ? { headers: [`Authorization: ${login}`] } : {}
  return runWrk({ url, accept: manifestType, seconds, ...headers }, bench)
}

async function govern({ dataDir }: Registry, people: number): Promise<void> {
  const operate = (name: string, params: object) =>
    callRunningNode(dataDir, name as 'tag', params as never, () => undefined)
  await operate('account-add', { ...who, groups: [] })
  for (let n = 0; n < people; n += 1)
    await operate('account-add', { name: personOf(n), password: who.password, groups: [] })
  for (let n = people + 1; n < many; n += 1)
    await operate('account-robot', { name: `robot-${n}`, groups: [] })
  const access = Array.from({ length: many }, (_, n) =>
    n === many - 1
      ? { repositories: '**', who: [`user:${who.name}`], may: ['pull'] }
      : { repositories: `bench/other-${n}/**`, who: ['user:ann'], may: ['pull', 'push'] },
  )
  await operate('policy-set', { policy: { access } })
}

/**
 * GET of a manifest by tag, and a pull of all of an image, with a login, at a node with 1,000 accounts and 1,000 rules of which the
 * last decides, beside a node without any, whose figures stand in the reference's column; the first question with a password; and
 * the same GET while wrong passwords come, beside while none do.
 */
import { Agent } from 'node:http'
import path from 'node:path'
import { callRunningNode } from '../../../node/admin/client.ts'
import { type Bench, type Measurement, openFolder, settle } from '../bench.ts'
import { runGuesses } from '../guess-load.ts'
import { manifestType, pushSmallImage } from '../image.ts'
import type { Line } from '../line.ts'
import { AnswerError, expectStatus } from '../request.ts'
import { median } from '../statistics.ts'
import { openRegistry, type Registry } from '../subject.ts'
import { connections, type LoadResult, runWrk } from '../wrk.ts'

const repository = 'bench/manifests'
const tag = 'latest'
const many = 1000
const warmUpSeconds = 1
const guesses = 10_000
const who = { name: 'ann', password: 'the bench’s password' }
const pullsEach = 200
const signInsEach = 10
const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
const login = basic(who.name, who.password)
const personOf = (n: number): string => `person-${n}`

interface Part {
  digest: string
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
    bench.say(`manifest GET by tag with a login and without, ${connections} connections`)
    const [withLogin, without]: [LoadResult[], LoadResult[]] = [[], []]
    for (let turn = 0; turn < bench.reps; turn += 1) {
      await settle(bench)
      withLogin.push(await load(bench, governed, true, bench.loadSeconds))
      await settle(bench)
      without.push(await load(bench, open, false, bench.loadSeconds))
    }
    const pulls = await pulledFrom(bench, governed, open)
    const signIns = await signedInAt(bench, governed)
    const calm = await guessedAt(bench, governed)
    const samples = (field: keyof LoadResult) => ({
      shoal: withLogin.map((result) => result[field]),
      reference: without.map((result) => result[field]),
    })
    const what = 'manifest GET by tag with a login, beside without'
    return [
      { what, unit: 'req/s', ...samples('perSecond'), reach: { kind: 'ratio', atLeast: 0.9 } },
      { what: `${what}, p99`, unit: 'ms', ...samples('p99Ms'), reach: { kind: 'none' } },
      pulls,
      signIns,
      calm,
    ]
  },
}

/** Manifest, config and layers of a small image, one after the other on one connection, as one client would; the p50 of a turn. */
async function pulledFrom(bench: Bench, governed: Registry, open: Registry): Promise<Line> {
  bench.say(`pulls of an image with a login and without, ${pullsEach} each`)
  const [shoal, reference]: [number[], number[]] = [[], []]
  for (let turn = 0; turn < bench.reps; turn += 1) {
    await settle(bench)
    shoal.push(await pullTime(bench, governed, { authorization: login }))
    await settle(bench)
    reference.push(await pullTime(bench, open, {}))
  }
  const what = 'pull of an image of ten small layers with a login, beside without, p50'
  return { what, unit: 'ms', shoal, reference, reach: { kind: 'ratio at most', times: 1.1 } }
}

async function pullTime({ signal }: Bench, { url }: Registry, headers: Record<string, string>) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const get = async (what: string) =>
    await expectStatus(200, `${url}/v2/${repository}/${what}`, { agent, headers, signal })
  const times: number[] = []
  for (let n = 0; n < pullsEach; n += 1) {
    const startedMs = performance.now()
    const { body } = await get(`manifests/${tag}`)
    const { config, layers } = JSON.parse(body.toString()) as Record<'config', Part> & { layers: Part[] }
    for (const { digest } of [config, ...layers]) await get(`blobs/${digest}`)
    times.push(performance.now() - startedMs)
  }
  agent.destroy()
  return median(times)
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

/** As many as a guesser gets answered while pulls go on. */
async function guessedAt(bench: Bench, registry: Registry): Promise<Line> {
  bench.say(`the same while ${guesses} wrong passwords come`)
  const [during, before]: [number[], number[]] = [[], []]
  for (let turn = 0; turn < bench.reps; turn += 1) {
    await settle(bench)
    before.push((await load(bench, registry, true, bench.loadSeconds)).p99Ms)
    await settle(bench)
    const guessing = runGuesses({ url: `${registry.url}/v2/`, count: guesses }, bench)
    const [{ p99Ms }, answers] = await Promise.all([load(bench, registry, true, bench.loadSeconds), guessing])
    const letIn = Object.keys(answers).filter((status) => !['401', '429'].includes(status))
    if (letIn.length > 0) throw new AnswerError(`wrong passwords were answered with ${letIn.join(', ')}`)
    during.push(p99Ms)
  }
  const what = `manifest GET by tag while ${guesses} wrong passwords come, p99`
  return { what, unit: 'ms', shoal: during, reference: before, reach: { kind: 'ratio at most', times: 1.5 } }
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

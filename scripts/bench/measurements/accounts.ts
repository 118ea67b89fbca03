/**
 * GET of a manifest by tag with a login, at a node with 1,000 accounts and 1,000 rules of which the last decides, beside a node
 * without any, whose figures stand in the reference's column.
 */
import path from 'node:path'
import { callRunningNode } from '../../../node/admin/client.ts'
import { type Bench, type Measurement, openFolder, settle } from '../bench.ts'
import { manifestType, pushSmallImage } from '../image.ts'
import { openRegistry, type Registry } from '../subject.ts'
import { connections, type LoadResult, runWrk } from '../wrk.ts'

const repository = 'bench/manifests'
const tag = 'latest'
const many = 1000
const warmUpSeconds = 1
const who = { name: 'ann', password: 'the bench’s password' }
const login = `Basic ${Buffer.from(`${who.name}:${who.password}`).toString('base64')}`

export const accounts: Measurement = {
  name: 'accounts',
  async run(bench) {
    await using folder = await openFolder(bench, 'accounts')
    await using governed = await openRegistry(bench.shoal, path.join(folder.path, 'governed'), bench)
    await using open = await openRegistry(bench.shoal, path.join(folder.path, 'open'), bench)
    for (const registry of [governed, open]) await pushSmallImage(registry, repository, tag, bench)
    bench.say(`${many} accounts and ${many} rules`)
    await govern(governed)
    for (const registry of [governed, open]) await load(bench, registry, registry === governed, warmUpSeconds)
    bench.say(`manifest GET by tag with a login and without, ${connections} connections`)
    const [withLogin, without]: [LoadResult[], LoadResult[]] = [[], []]
    for (let turn = 0; turn < bench.reps; turn += 1) {
      await settle(bench)
      withLogin.push(await load(bench, governed, true, bench.loadSeconds))
      await settle(bench)
      without.push(await load(bench, open, false, bench.loadSeconds))
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
  },
}

function load(bench: Bench, registry: Registry, signsIn: boolean, seconds: number): Promise<LoadResult> {
  const url = `${registry.url}/v2/${repository}/manifests/${tag}`
  const headers = signsIn ? { headers: [`Authorization: ${login}`] } : {}
  return runWrk({ url, accept: manifestType, seconds, ...headers }, bench)
}

async function govern({ dataDir }: Registry): Promise<void> {
  const operate = (name: string, params: object) =>
    callRunningNode(dataDir, name as 'tag', params as never, () => undefined)
  await operate('account-add', { ...who, groups: [] })
  for (let n = 1; n < many; n += 1) await operate('account-robot', { name: `robot-${n}`, groups: [] })
  const access = Array.from({ length: many }, (_, n) =>
    n === many - 1
      ? { repositories: '**', who: [`user:${who.name}`], may: ['pull'] }
      : { repositories: `bench/other-${n}/**`, who: ['user:ann'], may: ['pull', 'push'] },
  )
  await operate('policy-set', { policy: { access } })
}

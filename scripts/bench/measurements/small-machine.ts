/** Nodes in control groups of half a core and 256 MiB each: a push, a pull, a large blob through the mirror, a herd, and a day of gossip. */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type ControlGroup, makesControlGroups, openControlGroup } from '../../../test/e2e/control-group.ts'
import { type Bench, type Measurement, makeBlobs, mib, openFolder, rate, sizeText } from '../bench.ts'
import { runCommand } from '../command.ts'
import type { BlobFile } from '../content.ts'
import { runGossipDay } from '../gossip-day.ts'
import type { Line } from '../line.ts'
import { pullBlob, pushBlob } from '../load.ts'
import { peakMiB } from '../resident.ts'
import { shoal } from '../shoal.ts'
import { openRegistry, type Registry } from '../subject.ts'

const repository = 'bench/small'
const size = { processors: 0.5, memoryBytes: 256 * mib }
const hosts = 8
const herdBytes = 256 * mib

/** One node, in a group of its own if it is small. */
interface Small extends AsyncDisposable {
  registry: Registry
  group: Pick<ControlGroup, 'kills'>
}

export const smallMachine: Measurement = {
  name: 'small-machine',
  async run(bench) {
    if (!makesControlGroups()) {
      bench.say('left out: this user can make no control groups for memory and cpu here')
      return []
    }
    await using folder = await openFolder(bench, 'small')
    return [
      ...(await alone(bench, folder.path)),
      ...(await herd(bench, folder.path)),
      ...(await gossipDay(bench, folder.path)),
    ]
  },
}

async function alone(bench: Bench, folder: string): Promise<Line[]> {
  bench.say('push, pull and mirror pull with half a core and 256 MiB')
  await using origin = await openRegistry(bench.reference, path.join(folder, 'origin'), bench)
  const [file] = await makeBlobs(bench, folder, 1, 2 * bench.blobBytes)
  if (file === undefined) throw new Error('one blob')
  const upstream = ['--upstream', `origin.test=${origin.url}`]
  await using small = await openSmall(bench, path.join(folder, 'alone'), upstream)
  const roomy = await openRegistry(shoal(bench.shoalCommand, upstream), path.join(folder, 'roomy'), bench)
  await using _ = roomy
  const values: Record<'push' | 'pull' | 'mirror', number[]> = { push: [], pull: [], mirror: [] }
  for (const registry of [small.registry, roomy]) {
    const content = await file.renew()
    values.push.push(rate(content.size, await pushBlob(registry, repository, content, bench)))
    values.pull.push(rate(content.size, await pullBlob(registry, repository, content, bench)))
    const other = await file.renew()
    await pushBlob(origin, repository, other, bench)
    values.mirror.push(rate(other.size, await pullBlob(registry, `origin.test/${repository}`, other, bench)))
  }
  const line = (what: string, [here, there]: number[]): Line => ({
    what: `half a core, 256 MiB: ${what} of ${sizeText(2 * bench.blobBytes)}, beside Shoal on all of the machine`,
    unit: 'MB/s',
    shoal: here === undefined ? [] : [here],
    reference: there === undefined ? [] : [there],
    reach: { kind: 'none' },
  })
  return [
    line('push', values.push),
    line('pull', values.pull),
    line('mirror pull', values.mirror),
    ...(await lastsOf([small], 'alone')),
  ]
}

/** All pull at once what one on all of the machine was pushed; then as many that have all of it, too. */
async function herd(bench: Bench, folder: string): Promise<Line[]> {
  const bytes = Math.min(herdBytes, bench.blobBytes)
  const [file] = await makeBlobs(bench, folder, 1, bytes)
  if (file === undefined) throw new Error('one blob')
  bench.say(`a herd of ${hosts} with half a core and 256 MiB each`)
  const here = await pullByAll(bench, path.join(folder, 'herd'), file, openSmall)
  bench.say(`a herd of ${hosts} on all of the machine`)
  const there = await pullByAll(bench, path.join(folder, 'roomy-herd'), file, openRoomy)
  return [
    {
      what: `half a core, 256 MiB: slowest of a herd of ${hosts}, ${sizeText(bytes)}, beside one on all of the machine`,
      unit: 'MB/s',
      shoal: [here.slowest],
      reference: [there.slowest],
      reach: { kind: 'none' },
    },
    ...here.lasts,
  ]
}

async function pullByAll(
  bench: Bench,
  folder: string,
  file: BlobFile,
  open: typeof openSmall,
): Promise<{ slowest: number; lasts: Line[] }> {
  await mkdir(folder)
  await using stack = new AsyncDisposableStack()
  const seed = stack.use(await openRegistry(bench.shoal, path.join(folder, 'seed'), bench))
  const { stdout } = await runCommand(bench.shoalCommand, ['token', '--data', seed.dataDir], bench)
  const all: Small[] = []
  for (let host = 0; host < hosts; host += 1)
    all.push(stack.use(await open(bench, path.join(folder, `host-${host}`), ['--join', stdout.trim()])))
  const content = await file.renew()
  await pushBlob(seed, repository, content, bench)
  const times = await Promise.all(all.map(({ registry }) => pullBlob(registry, repository, content, bench)))
  const slowest = rate(content.size, Math.max(...times))
  return { slowest, lasts: await lastsOf(all, `in a herd of ${hosts}`) }
}

async function gossipDay(bench: Bench, folder: string): Promise<Line[]> {
  bench.say('24 simulated hours of gossip with half a core and 256 MiB')
  await using group = await openControlGroup(size)
  const here = await runGossipDay(await entering(group, process.execPath, path.join(folder, 'day')), bench)
  const there = await runGossipDay(process.execPath, bench)
  if (!here.isAlike) throw new Error('the ledgers differ after a day of gossip')
  const what = `half a core, 256 MiB: ${here.pushes.toLocaleString('en')} pushes of a day as gossip, beside all of the machine`
  const samples = { shoal: [here.tookMs], reference: [there.tookMs] }
  return [
    { what, unit: 'ms', ...samples, reach: { kind: 'none' } },
    await killsOf([group], 'a day of gossip'),
  ]
}

/** What none of them may have come to. */
async function lastsOf(all: Small[], where: string): Promise<Line[]> {
  const peaks = await Promise.all(all.map(({ registry }) => peakMiB(registry.pid)))
  const groups = all.map(({ group }) => group)
  return [
    {
      what: `half a core, 256 MiB, ${where}: largest peak of resident memory`,
      unit: 'MiB',
      shoal: [Math.max(...peaks)],
      reference: [],
      reach: { kind: 'value', under: 160 },
    },
    await killsOf(groups, where),
  ]
}

async function killsOf(groups: Pick<ControlGroup, 'kills'>[], where: string): Promise<Line> {
  const kills = await Promise.all(groups.map((group) => group.kills()))
  return {
    what: `half a core, 256 MiB, ${where}: killed for memory`,
    unit: '×',
    shoal: [kills.reduce((sum, count) => sum + count, 0)],
    reference: [],
    reach: { kind: 'value', under: 1 },
  }
}

/** The path of a script that becomes `command` in the group. */
async function entering(group: ControlGroup, command: string, folder: string): Promise<string> {
  const script = `${folder}.sh`
  await writeFile(script, group.script(command))
  await chmod(script, 0o755)
  return script
}

async function openRoomy(bench: Bench, folder: string, flags: string[]): Promise<Small> {
  const registry = await openRegistry(shoal(bench.shoalCommand, flags), folder, bench)
  return { registry, group: { kills: async () => 0 }, [Symbol.asyncDispose]: registry[Symbol.asyncDispose] }
}

async function openSmall(bench: Bench, folder: string, flags: string[]): Promise<Small> {
  await using stack = new AsyncDisposableStack()
  const group = stack.use(await openControlGroup(size))
  const script = await entering(group, bench.shoalCommand, folder)
  const registry = stack.use(await openRegistry(shoal(script, flags), folder, bench))
  const owned = stack.move()
  return { registry, group, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

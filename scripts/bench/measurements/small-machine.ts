/** A node in a control group of half a core and 256 MiB: a push, a pull, and a large blob through the mirror. */
import { chmod, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type ControlGroup, makesControlGroups, openControlGroup } from '../../../test/e2e/control-group.ts'
import { type Bench, type Measurement, makeBlobs, mib, openFolder, rate, sizeText } from '../bench.ts'
import type { Line } from '../line.ts'
import { pullBlob, pushBlob } from '../load.ts'
import { peakMiB } from '../resident.ts'
import { shoal } from '../shoal.ts'
import { openRegistry, type Registry } from '../subject.ts'

const repository = 'bench/small'
const size = { processors: 0.5, memoryBytes: 256 * mib }

/** One node in a group of its own. */
interface Small extends AsyncDisposable {
  registry: Registry
  group: ControlGroup
}

export const smallMachine: Measurement = {
  name: 'small-machine',
  async run(bench) {
    if (!makesControlGroups()) {
      bench.say('left out: this user can make no control groups for memory and cpu here')
      return []
    }
    await using folder = await openFolder(bench, 'small')
    return await alone(bench, folder.path)
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

/** What none of them may have come to. */
async function lastsOf(all: Small[], where: string): Promise<Line[]> {
  const peaks = await Promise.all(all.map(({ registry }) => peakMiB(registry.pid)))
  const kills = await Promise.all(all.map(({ group }) => group.kills()))
  return [
    {
      what: `half a core, 256 MiB, ${where}: largest peak of resident memory`,
      unit: 'MiB',
      shoal: [Math.max(...peaks)],
      reference: [],
      reach: { kind: 'value', under: 160 },
    },
    {
      what: `half a core, 256 MiB, ${where}: killed for memory`,
      unit: '×',
      shoal: [kills.reduce((sum, count) => sum + count, 0)],
      reference: [],
      reach: { kind: 'value', under: 1 },
    },
  ]
}

async function openSmall(bench: Bench, folder: string, flags: string[]): Promise<Small> {
  await using stack = new AsyncDisposableStack()
  const group = stack.use(await openControlGroup(size))
  const script = `${folder}.sh`
  await writeFile(script, group.script(bench.shoalCommand))
  await chmod(script, 0o755)
  const registry = stack.use(await openRegistry(shoal(script, flags), folder, bench))
  const owned = stack.move()
  return { registry, group, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** `skopeo copy` of an image of ten layers of 50 MB, into the registry and out of it. */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { type Bench, type Measurement, openFolder, openPair, rate, settle } from '../bench.ts'
import { runCommand } from '../command.ts'
import { writeImage } from '../image.ts'
import type { Registry } from '../subject.ts'

const layers = 10
const layerBytes = 50_000_000

export const skopeo: Measurement = {
  name: 'skopeo',
  async run(bench) {
    await using folder = await openFolder(bench, 'skopeo')
    await using pair = await openPair(bench, folder.path)
    const push = { shoal: [] as number[], reference: [] as number[] }
    const pull = { shoal: [] as number[], reference: [] as number[] }
    const image = path.join(folder.path, 'image')
    const copy = path.join(folder.path, 'copy')
    for (let turn = 0; turn < bench.reps; turn += 1) {
      bench.say(`skopeo copy, turn ${turn + 1}`)
      // The same image for both, new in each turn: skopeo skips what a registry has.
      await writeImage(image, layers, layerBytes)
      for (const side of ['shoal', 'reference'] as const) {
        const remote = remoteOf(pair[side], turn)
        push[side].push(await copyImage(bench, `dir:${image}`, remote))
        pull[side].push(await copyImage(bench, remote, `dir:${copy}`))
        await rm(copy, { recursive: true })
      }
      await rm(image, { recursive: true })
    }
    const reach = { kind: 'ratio', atLeast: 1 } as const
    return [
      { what: 'skopeo copy, 10 × 50 MB, push', unit: 'MB/s', ...push, reach },
      { what: 'skopeo copy, 10 × 50 MB, pull', unit: 'MB/s', ...pull, reach },
    ]
  },
}

function remoteOf(registry: Registry, turn: number): string {
  return `docker://${registry.host}/bench/skopeo:turn-${turn}`
}

async function copyImage(bench: Bench, from: string, to: string): Promise<number> {
  await settle(bench)
  const plainHttp = ['--src-tls-verify=false', '--dest-tls-verify=false']
  const args = ['--insecure-policy', 'copy', '--quiet', '--preserve-digests', ...plainHttp, from, to]
  const { elapsedMs } = await runCommand('skopeo', args, bench)
  return rate(layers * layerBytes, elapsedMs)
}

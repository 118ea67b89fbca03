/** What TLS costs: GETs over it beside the same GETs without, of one node that speaks both on its port. */
import path from 'node:path'
import { type Measurement, makeBlobs, openFolder, rate, sizeText, takeTurns } from '../bench.ts'
import { manifestType, pushSmallImage } from '../image.ts'
import type { Line } from '../line.ts'
import { pullBlob, pushBlob } from '../load.ts'
import { shoal } from '../shoal.ts'
import { openRegistry, type Registry } from '../subject.ts'
import { runWrk } from '../wrk.ts'

const repository = 'bench/tls'
const reach = { kind: 'ratio', atLeast: 0.6 } as const

export const tls: Measurement = {
  name: 'tls',
  async run(bench) {
    await using folder = await openFolder(bench, 'tls')
    const [file] = await makeBlobs(bench, folder.path, 1, bench.blobBytes)
    if (file === undefined) return []
    const subject = shoal(bench.shoalCommand, ['--tls', 'self', '--plain-loopback'])
    await using plain = await openRegistry(subject, path.join(folder.path, 'node'), bench)
    const secure: Registry = { ...plain, url: plain.url.replace('http:', 'https:') }
    const content = await file.renew()
    await pushBlob(plain, repository, content, bench)
    await pushSmallImage(plain, repository, 'latest', bench)
    const both = { shoal: secure, reference: plain }

    bench.say('manifest GET over TLS and without')
    const manifest = await takeTurns(bench, both, async ({ url }) => {
      const target = `${url}/v2/${repository}/manifests/latest`
      return (await runWrk({ url: target, accept: manifestType, seconds: bench.loadSeconds }, bench))
        .perSecond
    })
    bench.say(`GET of ${sizeText(bench.blobBytes)} over TLS and without`)
    const blob = await takeTurns(bench, both, async (registry) =>
      rate(content.size, await pullBlob(registry, repository, content, bench)),
    )
    const lines: Line[] = [
      { what: 'manifest GET by tag over TLS · beside Shoal without', unit: 'req/s', ...manifest, reach },
      {
        what: `GET of a ${sizeText(bench.blobBytes)} blob over TLS · beside Shoal without`,
        unit: 'MB/s',
        ...blob,
        reach,
      },
    ]
    return lines
  },
}

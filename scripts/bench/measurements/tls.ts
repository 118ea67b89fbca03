/**
 * What TLS costs: GETs over it beside the same GETs without, of one node that speaks both on its port, and beside OpenSSL's own
 * server, as the same curl reads from that: it says how much of the cost is the client's.
 */
import path from 'node:path'
import { openBareTls } from '../bare-tls.ts'
import {
  type Measurement,
  makeBlobs,
  openFolder,
  rate,
  type Samples,
  settle,
  sizeText,
  takeTurns,
} from '../bench.ts'
import { manifestType, pushSmallImage } from '../image.ts'
import type { Line } from '../line.ts'
import { pullBlob, pullFrom, pushBlob } from '../load.ts'
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
    bench.say(`GET of ${sizeText(bench.blobBytes)} over TLS and without, and from openssl s_server`)
    await using bare = await openBareTls(folder.path, content.path, bench)
    const blob: Samples = { shoal: [], reference: [] }
    const ceiling: number[] = []
    for (let turn = 0; turn < bench.reps; turn += 1) {
      await settle(bench)
      const pulled = async (registry: Registry) =>
        rate(content.size, await pullBlob(registry, repository, content, bench))
      blob.shoal.push(await pulled(secure))
      ceiling.push(rate(content.size, await pullFrom(bare.url, content, bench)))
      blob.reference.push(await pulled(plain))
    }
    const lines: Line[] = [
      { what: 'manifest GET by tag over TLS · beside Shoal without', unit: 'req/s', ...manifest, reach },
      {
        what: `GET of a ${sizeText(bench.blobBytes)} blob over TLS · beside Shoal without`,
        unit: 'MB/s',
        ...blob,
        reach,
      },
      {
        what: 'the same over TLS · beside openssl s_server, which no client reads faster',
        unit: 'MB/s',
        shoal: blob.shoal,
        reference: ceiling,
        reach: { kind: 'ratio', atLeast: 0.9 },
      },
    ]
    return lines
  },
}

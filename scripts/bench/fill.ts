/** Fills a registry with many small manifests, each under a tag of its own, over many connections. */
import http from 'node:http'
import { manifestType } from './image.ts'
import { pushBytes } from './load.ts'
import { expectStatus } from './request.ts'
import type { Registry } from './subject.ts'

const connections = 64
const perRepository = 1000
const emptyConfig = Buffer.from('{}')

export async function fillManifests(
  registry: Registry,
  count: number,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections })
  let next = 0
  const work = async () => {
    while (next < count) {
      const number = next
      next += 1
      const url = `${registry.url}/v2/${repositoryOf(number)}/manifests/tag-${number}`
      const headers = { 'content-type': manifestType }
      await expectStatus(201, url, { method: 'PUT', headers, body: manifestOf(number), agent, signal })
    }
  }
  try {
    for (let first = 0; first < count; first += perRepository) {
      await pushBytes(registry, repositoryOf(first), emptyConfig, { signal })
    }
    await Promise.all(Array.from({ length: connections }, work))
  } finally {
    agent.destroy()
  }
}

function repositoryOf(number: number): string {
  return `bench/repository-${Math.floor(number / perRepository)}`
}

function manifestOf(number: number): Buffer {
  const empty = 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: empty, size: emptyConfig.length }
  const annotations = { 'org.example.number': String(number) }
  const manifest = { schemaVersion: 2, mediaType: manifestType, config, layers: [], annotations }
  return Buffer.from(JSON.stringify(manifest))
}

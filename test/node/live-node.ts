/** A whole node in this process, on ports of its own, for tests of what it tells about itself. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDaemon } from '../../node/daemon.ts'
import { openHttpPort } from '../../node/http-port.ts'
import { readSettings, type Settings } from '../../node/settings/settings.ts'
import { type Logger, silentLogger } from '../../src/base/base.ts'
import { type Digest, digestBytes, mediaTypes } from '../../src/oci/oci.ts'

export interface LiveNode extends AsyncDisposable {
  readonly url: string
  readonly settings: Settings
  /** Pushes a manifest over a config and a layer, and pulls them again. */
  useOnce(): Promise<{ manifest: Digest; layer: Digest }>
}

export async function openLiveNode(
  flags: string[] = [],
  { logger = silentLogger, config }: { logger?: Logger; config?: string } = {},
): Promise<LiveNode> {
  await using opened = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'shoal-live-'))
  opened.defer(() => rm(directory, { recursive: true, force: true }))
  const addresses = ['--http', '127.0.0.1:0', '--p2p', '127.0.0.1:0', '--no-mdns']
  const file = config === undefined ? [] : ['--config', config]
  const { settings } = readSettings(['--data', directory, ...addresses, ...flags, ...file], {})
  const port = opened.use(await openHttpPort(settings.http))
  opened.use(await openDaemon(settings, port, logger))
  const url = `http://${port.address}`
  const resources = opened.move()

  const send = async (method: string, path: string, body?: string, type = 'application/octet-stream') => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { 'Content-Type': type },
      ...(body === undefined ? {} : { body }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return text
  }
  const pushBlob = async (bytes: string): Promise<Digest> => {
    const digest = digestBytes(Buffer.from(bytes))
    await send('POST', `/v2/team/app/blobs/uploads/?digest=${digest}`, bytes)
    return digest
  }

  return {
    url,
    settings,
    async useOnce() {
      const [config, layer] = [await pushBlob('{}'), await pushBlob('layer')]
      const body = JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 },
        layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer, size: 5 }],
      })
      await send('PUT', '/v2/team/app/manifests/1.0', body, mediaTypes.ociManifest)
      await send('GET', '/v2/team/app/manifests/1.0')
      await send('GET', `/v2/team/app/blobs/${layer}`)
      // A client has its answer a little before the request is over.
      while (!(await send('GET', '/metrics')).includes('\nshoal_http_requests_in_flight 0\n'));
      return { manifest: digestBytes(Buffer.from(body)), layer }
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

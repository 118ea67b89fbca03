/** oras and cosign: artifacts, and signatures and bills of materials that go with an image. */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { until } from '../swarm/fixture.ts'
import { openClient, pullManifest, pushBlob, pushItem, pushManifest } from './client.ts'
import { type Content, content, jsonContent, makeIndex, seededBytes, sha256 } from './image.ts'
import { run } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'
import { useRegistry } from './use-registry.ts'

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')

const SBOM_TYPE = 'application/spdx+json'
const SIGNATURE_TYPE = 'application/vnd.dev.cosign.artifact.sig.v1+json'
const SIGNED_PAYLOAD = 'application/vnd.dev.cosign.simplesigning.v1+json'
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'

interface Referrers {
  manifests: { digest: string; artifactType: string; annotations?: Record<string, string> }[]
}

describe('a registry of artifacts', () => {
  const here = useRegistry()

  const cosign = (...args: string[]) =>
    run('cosign', args, {
      cwd: here.folder.path,
      env: { DOCKER_CONFIG: here.folder.at('client'), COSIGN_PASSWORD: '', COSIGN_EXPERIMENTAL: '1' },
    })
  const command = async (node: Registry, ...args: string[]) =>
    (await run(shoal, [...args, '--data', node.data])).stdout
  const oras = (...args: string[]) => run('oras', args, { env: { DOCKER_CONFIG: here.folder.at('client') } })
  const referrersOf = async (repository: string, digest: string, filter = ''): Promise<Referrers> => {
    const answer = await here.client.ask('GET', `/v2/${repository}/referrers/${digest}${filter}`)
    expect([answer.status, answer.headers['content-type']]).toEqual([200, INDEX_TYPE])
    return JSON.parse(answer.body.toString())
  }

  test('oras pushes files and pulls them back', requires('oras'), async () => {
    const model = seededBytes('oras-model', 3_000_000)
    await writeFile(here.folder.at('model.bin'), model)
    const file = `${here.folder.at('model.bin')}:application/vnd.example.model`
    const name = `${here.registry.host}/or/model:1`
    await oras('push', '--plain-http', '--disable-path-validation', '--artifact-type', 'x/model', name, file)

    const stored = await pullManifest(here.client, 'or/model', '1')
    const { artifactType, layers } = JSON.parse(stored.body.toString())
    expect(artifactType).toBe('x/model')
    expect(layers[0].digest).toBe(sha256(model))
    await writeFile(here.folder.at('model.bin'), 'to be overwritten')
    await oras('pull', '--plain-http', '--allow-path-traversal', name)
    expect((await readFile(here.folder.at('model.bin'))).equals(model)).toBe(true)
  })

  test('oras copies an index with its signature and SBOM', requires('oras', 'shoal'), async () => {
    const index = makeIndex('oras-index')
    const subject = index.manifest.descriptor
    await pushItem(here.client, 'or/signed', '1', index)

    // As cosign does it: a tag made of the digest, and the same signature as a referrer.
    const payload = Buffer.from(
      JSON.stringify({ critical: { image: { 'docker-manifest-digest': subject.digest } } }),
    )
    const signature = signatureOf(payload)
    const tag = `${subject.digest.replace(':', '-')}.sig`
    for (const blob of [signature.config, signature.payload]) await pushBlob(here.client, 'or/signed', blob)
    await pushManifest(here.client, 'or/signed', tag, signature.manifest)
    await writeFile(here.folder.at('payload.json'), payload)
    await writeFile(here.folder.at('sbom.json'), JSON.stringify({ spdxVersion: 'SPDX-2.3', name: 'app' }))
    const name = `${here.registry.host}/or/signed:1`
    const attach = (type: string, file: string, media: string) =>
      oras(
        ...['attach', '--plain-http', '--disable-path-validation', '--artifact-type', type],
        ...['--annotation', 'made.by=test', name, `${here.folder.at(file)}:${media}`],
      )
    await attach(SBOM_TYPE, 'sbom.json', SBOM_TYPE)
    await attach(SIGNATURE_TYPE, 'payload.json', SIGNED_PAYLOAD)

    const before = await referrersOf('or/signed', subject.digest)
    expect(before.manifests.map(({ artifactType }) => artifactType).sort()).toEqual(
      [SBOM_TYPE, SIGNATURE_TYPE].sort(),
    )
    for (const { annotations } of before.manifests) expect(annotations?.['made.by']).toBe('test')
    const filter = `?artifactType=${encodeURIComponent(SBOM_TYPE)}`
    const filtered = await referrersOf('or/signed', subject.digest, filter)
    expect(filtered.manifests.map(({ artifactType }) => artifactType)).toEqual([SBOM_TYPE])
    const discovered = await oras('discover', '--plain-http', '--format', 'json', name)
    expect(digestsOf(JSON.parse(discovered.stdout))).toEqual(digestsOf(before))

    await using other = await openRegistry()
    using otherClient = openClient(other.port)
    await oras(
      'cp',
      '--recursive',
      '--from-plain-http',
      '--to-oci-layout',
      name,
      `${here.folder.at('copy')}:1`,
    )
    const target = `${other.host}/moved/signed:1`
    await oras(
      'cp',
      '--recursive',
      '--from-oci-layout',
      '--to-plain-http',
      `${here.folder.at('copy')}:1`,
      target,
    )
    const moved = await pullManifest(otherClient, 'moved/signed', '1')
    expect(moved.headers['docker-content-digest']).toBe(subject.digest)
    for (const { manifest } of index.images) {
      const platform = await pullManifest(otherClient, 'moved/signed', manifest.descriptor.digest)
      expect(platform.body.equals(manifest.bytes)).toBe(true)
    }
    const after = await otherClient.ask('GET', `/v2/moved/signed/referrers/${subject.digest}`)
    expect(digestsOf(JSON.parse(after.body.toString()))).toEqual(digestsOf(before))
    const signed = await pullManifest(here.client, 'or/signed', tag)
    expect(signed.headers['docker-content-digest']).toBe(signature.manifest.descriptor.digest)
  })

  test(
    'cosign signs and attests, with tags and with referrers, and verifies at another node and through a mirror',
    requires('cosign', 'shoal'),
    async () => {
      const index = makeIndex('cosign-index')
      const { digest } = index.manifest.descriptor
      await pushItem(here.client, 'team/signed', '1', index)
      const image = `${here.registry.host}/team/signed@${digest}`
      await cosign('generate-key-pair')
      await writeFile(here.folder.at('predicate.json'), '{"tests":"passed"}')
      const sign = ['--yes', '--tlog-upload=false', '--key', 'cosign.key']
      await cosign('sign', ...sign, image)
      await cosign('sign', ...sign, '--registry-referrers-mode', 'oci-1-1', image)
      await cosign('attest', ...sign, '--type', 'custom', '--predicate', 'predicate.json', image)

      const verify = ['--insecure-ignore-tlog=true', '--key', 'cosign.pub']
      const verifyAt = async (name: string) => {
        for (const flags of [[], ['--experimental-oci11']]) {
          const { stdout } = await cosign('verify', ...verify, ...flags, `${name}@${digest}`)
          expect(stdout).toContain(`"docker-manifest-digest":"${digest}"`)
        }
        const { stdout } = await cosign(
          'verify-attestation',
          ...verify,
          '--type',
          'custom',
          `${name}@${digest}`,
        )
        expect(stdout).toContain('"payloadType":"application/vnd.in-toto+json"')
      }
      const token = (await command(here.registry, 'token')).trim()
      await using second = await openRegistry({ flags: ['--join', token] })
      await verifyAt(`${second.host}/team/signed`)

      const upstream = `up.test=http://127.0.0.1:${here.registry.port}`
      await using mirror = await openRegistry({ flags: ['--upstream', upstream] })
      await command(mirror, 'keep', 'add', 'up.test/team/signed')
      using client = openClient(mirror.port)
      await client.ask('GET', '/v2/up.test/team/signed/manifests/1')
      await until('all of it to be kept', async () => {
        const [rule] = JSON.parse(await command(mirror, 'keep', 'ls', '--json'))
        // The image, and the tags of its signature and its attestation.
        return rule.images === 3 && rule.complete === 3
      })
      await here.registry.kill()
      await verifyAt(`${mirror.host}/up.test/team/signed`)
    },
  )
})

function digestsOf({ manifests }: Referrers): string[] {
  return manifests.map(({ digest }) => digest).sort()
}

function signatureOf(bytes: Buffer): Record<'config' | 'payload' | 'manifest', Content> {
  const payload = content(SIGNED_PAYLOAD, bytes)
  const config = jsonContent('application/vnd.oci.image.config.v1+json', { architecture: '', os: '' })
  const annotations = {
    'dev.cosignproject.cosign/signature': seededBytes('signature', 64).toString('base64'),
  }
  const manifest = jsonContent(MANIFEST_TYPE, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: config.descriptor,
    layers: [{ ...payload.descriptor, annotations }],
  })
  return { config, payload, manifest }
}

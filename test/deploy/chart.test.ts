/** The Helm chart: says what deploy/kubernetes/shoal.yaml says, but for what its values change. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Ajv } from 'ajv'
import { DaemonSet, type IDaemonSet } from 'kubernetes-models/apps/v1'
import { type IService, Service } from 'kubernetes-models/v1'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { findProgram, requires } from '../e2e/requirement.ts'
import { temporaryFolder } from '../store/scenery.ts'

const checkout = path.join(import.meta.dirname, '../..')
const chart = path.join(checkout, 'deploy/helm/shoal')
const read = (file: string): string => readFileSync(file, 'utf8')

const helm = (...words: string[]): string =>
  execFileSync(findProgram('helm') ?? 'helm', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

function documentsOf(yaml: string): (IService | IDaemonSet)[] {
  return parseAllDocuments(yaml)
    .map((document) => document.toJS() as IService | IDaemonSet | null)
    .filter((document) => document !== null)
}

function render(namespace: string, ...values: string[]): [IService, IDaemonSet] {
  const set = values.flatMap((value) => ['--set', value])
  const all = documentsOf(helm('template', 'shoal', chart, '--namespace', namespace, ...set))
  const [service, daemonSet] = all as [IService, IDaemonSet]
  expect(all).toHaveLength(2)
  new Service(service).validate()
  new DaemonSet(daemonSet).validate()
  return [service, daemonSet]
}

describe('the values of the chart', () => {
  const values = parse(read(path.join(chart, 'values.yaml'))) as Record<string, unknown>
  const validate = new Ajv({ allowUnionTypes: true }).compile(
    JSON.parse(read(path.join(chart, 'values.schema.json'))) as object,
  )

  it('are what their schema permits, which has each of them', () => {
    expect([validate(values), validate.errors]).toEqual([true, null])
    expect(values.image).toBe('shoal')
  })

  it.each([
    ['a name that is none', { images: 'x' }],
    ['an upstream that is an address', { upstreams: ['https://docker.io'] }],
    ['a setting that the probes rely on', { settings: { SHOAL_HTTP: '0.0.0.0:5000' } }],
    ['TLS that the probes do not speak', { settings: { SHOAL_TLS: 'self' } }],
    ['a setting that is none', { settings: { maxDisk: '80%' } }],
  ])('are refused where they have %s', (_, changed) => {
    expect(validate({ ...values, ...changed })).toBe(false)
  })

  it('are of a chart of this version', () => {
    const { version } = JSON.parse(read(path.join(checkout, 'package.json'))) as { version: string }
    expect(parse(read(path.join(chart, 'Chart.yaml')))).toMatchObject({ version, appVersion: version })
  })
})

describe('the chart', requires('helm'), () => {
  it('is what helm lint permits', () => {
    expect(helm('lint', '--strict', chart)).toContain('0 chart(s) failed')
  })

  it('says what deploy/kubernetes/shoal.yaml says, without the namespace', () => {
    const [, ...plain] = documentsOf(read(path.join(checkout, 'deploy/kubernetes/shoal.yaml')))
    expect(render('shoal')).toEqual(plain)
  })

  it('has node and containerd take the upstreams, and the node its settings', () => {
    const [, daemonSet] = render(
      'edge',
      'image=corp.example/shoal:1',
      'upstreams={docker.io,corp.example=https://corp.example:8443}',
      'settings.SHOAL_MAX_DISK=80%',
      'settings.SHOAL_ACK=2',
    )
    const { containers = [], initContainers = [] } = daemonSet.spec?.template.spec ?? {}
    for (const { image } of [...containers, ...initContainers]) expect(image).toBe('corp.example/shoal:1')
    const upstream = { name: 'SHOAL_UPSTREAM', value: 'docker.io,corp.example=https://corp.example:8443' }
    expect(initContainers.find(({ name }) => name === 'mirrors')?.env).toEqual([upstream])
    expect(containers[0]?.env).toEqual(
      expect.arrayContaining([
        upstream,
        { name: 'SHOAL_BOOTSTRAP', value: '/dns4/shoal-members.edge.svc.cluster.local/tcp/5001' },
        { name: 'SHOAL_MAX_DISK', value: '80%' },
        { name: 'SHOAL_ACK', value: '2' },
      ]),
    )
  })

  it('says a number of a file of values in digits, as a node reads it', async () => {
    await using folder = await temporaryFolder()
    const file = path.join(folder.path, 'values.yaml')
    writeFileSync(
      file,
      'settings: { SHOAL_MAX_DISK: 107374182400, SHOAL_NO_PAGE: true, SHOAL_NAME: "a<\\"b" }\n',
    )
    const all = documentsOf(helm('template', 'shoal', chart, '--values', file)) as [IService, IDaemonSet]
    expect(all[1].spec?.template.spec?.containers[0]?.env).toEqual(
      expect.arrayContaining([
        { name: 'SHOAL_MAX_DISK', value: '107374182400' },
        { name: 'SHOAL_NO_PAGE', value: 'true' },
        { name: 'SHOAL_NAME', value: 'a<"b' },
      ]),
    )
  })

  it('leaves containerd alone where it is told to', () => {
    const [, daemonSet] = render('edge', 'containerd.hosts=false')
    const { initContainers = [], volumes = [] } = daemonSet.spec?.template.spec ?? {}
    expect(initContainers.map(({ name }) => name)).toEqual(['owner'])
    expect(volumes.map(({ name }) => name)).toEqual(['data', 'cache'])
  })

  it('takes no value that its schema does not have', () => {
    expect(() => render('edge', 'upstream={docker.io}')).toThrow(
      "don't meet the specifications of the schema",
    )
  })
})

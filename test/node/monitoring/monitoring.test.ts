/** The dashboard, the alert rules and the list of metrics, held against what a node really tells. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { type MetricDeclaration, metricTable } from '../../../node/metrics/metric-table.ts'
import { openLiveNode } from '../live-node.ts'
import { relianceOf, type Selector } from './promql.ts'

const root = dirname(dirname(dirname(import.meta.dirname)))
const dashboardFile = join(root, 'deploy/grafana/shoal.json')
const rulesFile = join(root, 'deploy/prometheus/shoal.rules.yml')
const declared: Record<string, MetricDeclaration> = metricTable
/** What Prometheus adds to every series. */
const added = ['job', 'instance']
const known = [
  'sum',
  'count',
  'min',
  'max',
  'rate',
  'increase',
  'max_over_time',
  'histogram_quantile',
  'and',
  'or',
  'unless',
  'for',
]

interface Panel {
  id: number
  type: string
  title: string
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: { refId: string; expr: string; legendFormat: string }[]
}

const dashboard = JSON.parse(await readFile(dashboardFile, 'utf8')) as { panels: Panel[] }
const rules = await readFile(rulesFile, 'utf8')
const panels = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr, legendFormat }) => ({ name: title, expr, legend: legendFormat })),
)
const alerts = [...rules.matchAll(/- alert: (\w+)\n\s+expr: (.*)\n([\s\S]*?)(?=\n\s+- alert:|$)/g)].map(
  ([, name = '', expr = '', rest = '']) => ({ name, expr, legend: rest }),
)
const expressions = [...panels, ...alerts]

let scrape = ''
beforeAll(async () => {
  await using node = await openLiveNode()
  await node.useOnce()
  scrape = await (await fetch(`${node.url}/metrics`)).text()
})

/** A metric without what a histogram's series end with. */
function familyOf(metric: string): string {
  return Object.hasOwn(declared, metric) ? metric : metric.replace(/_(bucket|sum|count)$/, '')
}

function labelsOf(metric: string): string[] {
  const labels = Object.keys(declared[familyOf(metric)]?.labels ?? {})
  return [...added, ...labels, ...(metric.endsWith('_bucket') ? ['le'] : [])]
}

/** What an expression asks of a metric that it does not have. */
function missing({ metric, matchers }: Selector): string[] {
  const allowed = labelsOf(metric)
  return matchers.flatMap(({ label, operator, value }) => {
    if (!allowed.includes(label)) return [`${metric} has no label ${label}`]
    const values = declared[familyOf(metric)]?.labels[label]
    if (values === undefined || values === 'configured') return []
    const wanted = operator.includes('~') ? value.split('|') : [value]
    return wanted.filter((one) => !values.includes(one)).map((one) => `${metric} has no ${label}="${one}"`)
  })
}

describe.each(expressions)('$name: $expr', ({ expr, legend }) => {
  const { selectors, grouping, words } = relianceOf(expr, ['shoal_', 'nodejs_', 'process_'])

  it('asks for what a node tells', () => {
    expect(selectors.length).toBeGreaterThan(0)
    const told = selectors.filter(({ metric }) => metric !== 'up')
    const absent = told.filter(({ metric }) => !scrape.includes(`# TYPE ${familyOf(metric)} `))
    expect(absent).toEqual([])
    expect(
      told.filter(({ metric }) => metric.startsWith('shoal_') && !(familyOf(metric) in declared)),
    ).toEqual([])
    expect(selectors.flatMap(missing)).toEqual([])
    expect(words.filter((word) => !known.includes(word))).toEqual([])
  })

  it('groups and names by labels that are there', () => {
    const labels = selectors.flatMap(({ metric }) => labelsOf(metric))
    const used = [...legend.matchAll(/\{\{-?\s*(?:\$labels\.)?(\w+)\s*\}\}/g)].map(([, label = '']) => label)
    expect([...grouping, ...used].filter((label) => !labels.includes(label))).toEqual([])
    // A sum keeps the labels that it is grouped by, and no other.
    if (expr.includes('sum by') || expr.includes('count by')) {
      expect(used.filter((label) => !grouping.includes(label))).toEqual([])
    }
  })

  it('takes the rate of what only grows', () => {
    for (const [, metric = ''] of expr.matchAll(/(?:rate|increase)\((\w+)/g)) {
      expect(metric).toMatch(/_(total|bucket|sum|count)$/)
    }
    expect(expr).not.toMatch(/(?<!(?:rate|increase)\()\bshoal_\w+_total\b/)
  })
})

describe('the dashboard', () => {
  it('has a row for each thing to look at', () => {
    const rows = dashboard.panels.filter(({ type }) => type === 'row').map(({ title }) => title)
    expect(rows).toEqual(['Cluster', 'Pulls', 'Uplink saved', 'Swarm', 'Records', 'HTTP', 'Disk', 'Process'])
  })

  it('lays its panels out beside each other', () => {
    const ids = dashboard.panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) => {
      expect(x + w).toBeLessThanOrEqual(24)
      return Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`)
    })
    expect(new Set(cells).size).toBe(cells.length)
  })
})

describe('the alerts', () => {
  it('say how bad it is, what is wrong and what to do', () => {
    expect(alerts.length).toBe(rules.match(/- alert:/g)?.length)
    for (const { legend } of alerts) {
      expect(legend).toMatch(/severity: (warning|critical)/)
      expect(legend).toMatch(/summary: '.+'\n\s+description: '.+'/)
    }
  })

  it('are in the documentation, each of them', async () => {
    const text = await readFile(join(root, 'docs/alerts.md'), 'utf8')
    expect([...text.matchAll(/^## (\w+)$/gm)].map(([, name]) => name)).toEqual(alerts.map(({ name }) => name))
    for (const { name, legend } of alerts)
      expect(legend).toContain(
        `runbook_url: 'file:///usr/share/doc/shoal/docs/alerts.md#${name.toLowerCase()}'`,
      )
  })

  it('and every expression of the dashboard are accepted by Prometheus', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shoal-rules-'))
    try {
      const asRules = panels.map(({ expr }, index) => {
        const filled = expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$\w+/g, '.*')
        return `      - { record: 'panel:${index}', expr: ${JSON.stringify(filled)} }\n`
      })
      const file = join(folder, 'panels.yml')
      await writeFile(file, `groups:\n  - name: panels\n    rules:\n${asRules.join('')}`)
      const checked = await promisify(execFile)('promtool', ['check', 'rules', rulesFile, file])
      expect(checked.stdout).toContain(`${alerts.length} rules found`)
      expect(checked.stdout).toContain(`${panels.length} rules found`)
      await promisify(execFile)('promtool', ['test', 'rules', join(import.meta.dirname, 'alerts.yml')])
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('the scrape of a node', () => {
  it('tells of every metric that is declared, with no label that is not', () => {
    for (const [name, { type, labels }] of Object.entries(declared)) {
      expect(scrape).toContain(`# TYPE ${name} ${type}\n`)
      const series = scrape.matchAll(new RegExp(`^${name}(?:_bucket|_sum|_count)?\\{(.*)\\} `, 'gm'))
      for (const [, text = ''] of series) {
        const names = [...text.matchAll(/(\w+)="/g)].map(([, label]) => label)
        expect(names.filter((label) => label !== 'le')).toEqual(Object.keys(labels))
      }
    }
    expect(scrape).not.toMatch(/^shoal_.*"other"/m)
  })

  it('counts what was pulled and pushed', () => {
    expect(scrape).toContain('\nshoal_pulls_total{kind="manifest",source="local"} 1\n')
    expect(scrape).toContain('\nshoal_pulls_total{kind="blob",source="local"} 1\n')
    expect(scrape).toContain('\nshoal_pull_bytes_total{kind="blob",source="local"} 5\n')
    expect(scrape).toContain('\nshoal_pushes_total{kind="blob"} 2\n')
    expect(scrape).toContain('\nshoal_records_stored_total{kind="tag",from="here"} 1\n')
    expect(scrape).toContain('\nshoal_ready 1\n')
    expect(scrape).toMatch(/^shoal_disk_free_bytes [1-9]/m)
    expect(scrape).toMatch(/^shoal_build_info\{version="\d+\.\d+\.\d+"\} 1$/m)
  })

  it('is accepted by Prometheus', async () => {
    const checking = promisify(execFile)('promtool', ['check', 'metrics'])
    // The names of Node's own are not ours to choose.
    checking.child.stdin?.end(scrape.slice(0, scrape.indexOf('# HELP process_')))
    await checking
  })
})

describe('the documentation', () => {
  it('lists every metric; run vitest with -u after a change to the table', async () => {
    const rows = Object.entries(declared).map(([name, { type, labels, help }]) => {
      const names = Object.keys(labels).map((label) => `\`${label}\``)
      return `| \`${name}\` | ${type} | ${names.join(', ')} | ${help} |\n`
    })
    const text = `# Metrics

Every metric of a node, beside those that every Node.js program has (\`process_*\`, \`nodejs_*\`).
[monitoring.md](monitoring.md) says what they are for.

| name | type | labels | what it tells |
| --- | --- | --- | --- |
${rows.join('')}`
    await expect(text).toMatchFileSnapshot(join(root, 'docs/metrics.md'))
  })
})

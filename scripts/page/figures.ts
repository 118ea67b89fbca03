/** The page's figures: weight, requests, first paint over 10,000 tags, what axe finds, and what the keyboard reaches. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Browser, Page } from 'playwright-core'
import { formatBytes, formatNumber } from '../../node/page/client/format.ts'
import { openBrowser, openPage } from '../../test/e2e/browser.ts'
import { openClient } from '../../test/e2e/client.ts'
import { findViolations, reachByKeyboard } from '../../test/e2e/page-checks.ts'
import { fillPage, pushManyTags } from '../../test/e2e/page-cluster.ts'
import { openRegistry } from '../../test/e2e/registry.ts'

const tags = 10_000
const loads = 5
const views = [
  ['overview', '#/'],
  ['repositories', '#/repositories'],
  ['tags', '#/repository/team/shop'],
  ['image', '#/image/team/shop:1.4.2'],
  ['cluster', '#/cluster'],
  ['storage', '#/storage'],
  ['keep rules', '#/keep'],
  ['upstreams', '#/upstreams'],
] as const

await using registry = await openRegistry()
using client = openClient(registry.port)
await fillPage(client)
await pushManyTags(client, 'ci/builds', tags)
await using browser = await openBrowser()
const url = `http://localhost:${registry.port}/`

printWeight()
await printPaint(browser)
for (const colorScheme of ['light', 'dark'] as const) await printAccess(browser, colorScheme)

function printWeight(): void {
  const folder = join(dirname(dirname(import.meta.dirname)), 'dist/page/assets')
  for (const [kind, ending] of [
    ['script', '.js'],
    ['style', '.css'],
  ] as const) {
    const files = readdirSync(folder).filter((name) => name.endsWith(ending))
    const packed = files.map((name) => gzipSync(readFileSync(join(folder, name))).length)
    print(`${kind}, compressed`, formatBytes(packed.reduce((sum, bytes) => sum + bytes, 0)))
  }
}

/** Each load is a new profile's, with nothing cached. */
async function printPaint(browser: Browser): Promise<void> {
  const paints: number[] = []
  const rows: number[] = []
  const requests: number[] = []
  let foreign = 0
  for (let load = 0; load < loads; load++) {
    await using opened = await openPage(browser)
    const { page } = opened
    await page.goto(`${url}#/repository/ci/builds`)
    await page.locator('.tags tbody .name').first().waitFor()
    rows.push((await page.evaluate('performance.now()')) as number)
    const paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
    paints.push((await page.evaluate(paint)) as number)
    requests.push(opened.requests.length)
    foreign += opened.requests.filter((request) => !request.startsWith(url)).length
  }
  print(`first contentful paint, ${formatNumber(tags)} tags`, `${Math.round(median(paints))} ms`)
  print(`first tags in the document, ${formatNumber(tags)} tags`, `${Math.round(median(rows))} ms`)
  print('requests until then', String(median(requests)))
  print('requests to anywhere else', String(foreign))
}

async function printAccess(browser: Browser, colorScheme: 'light' | 'dark'): Promise<void> {
  await using opened = await openPage(browser, { colorScheme })
  const { page } = opened
  for (const [name, hash] of views) {
    await page.goto(`${url}${hash}`)
    await settle(page)
    const violations = await findViolations(page)
    const { controls, missed } = await reachByKeyboard(page)
    print(
      `${name}, ${colorScheme}`,
      `${violations.length} axe violations, ${controls - missed.length} of ${controls} controls by keyboard`,
    )
    for (const line of [...violations, ...missed]) console.log(`    ${line}`)
  }
}

async function settle(page: Page): Promise<void> {
  await page.getByRole('heading', { level: 1 }).waitFor()
  while ((await page.locator('.waiting').count()) > 0) {
    await page.locator('.waiting').first().waitFor({ state: 'detached' })
  }
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

function print(what: string, figure: string): void {
  console.log(`${what.padEnd(44)}${figure}`)
}

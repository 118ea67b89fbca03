/** A real Chromium without a window, that talks to nobody but the pages it is sent to. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { findProgram } from './requirement.ts'

export interface OpenedPage extends AsyncDisposable {
  readonly page: Page
  /** What the page's scripts threw, and what its policy refused. */
  readonly faults: string[]
  /** Addresses that were asked for. */
  readonly requests: string[]
}

const quiet = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export async function openBrowser(): Promise<Browser & AsyncDisposable> {
  const executablePath = findProgram('chromium')
  if (executablePath === undefined) throw new Error('chromium is not installed')
  return await chromium.launch({ executablePath, headless: true, chromiumSandbox: false, args: quiet })
}

export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<OpenedPage> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 860 },
    locale: 'en-GB',
    ...options,
  })
  const page = await context.newPage()
  const faults: string[] = []
  const requests: string[] = []
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text())
  })
  page.on('request', (request) => requests.push(request.url()))
  return { page, faults, requests, [Symbol.asyncDispose]: () => context.close() }
}

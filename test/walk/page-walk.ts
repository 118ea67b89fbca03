/** The same host in a browser: what stands in each view, as a screen reader is told it, and what is pressed there. */
import type { Page } from 'playwright-core'
import { openBrowser, openPage } from '../e2e/browser.ts'

const views = [
  '',
  'repository/team/app',
  'image/team/app:1',
  'cluster',
  'members',
  'storage',
  'keep',
  'upstreams',
]

const settleMs = 500
/** What the page says of what it was not told yet. */
const isWaiting = /Asking|not told/

export interface PageWalk extends AsyncDisposable {
  /** Every view, and what is asked before something is done. */
  look(): Promise<string>
  /** The first view once it says who is out of reach. */
  lookForLost(): Promise<string>
}

export async function openPageWalk(url: string): Promise<PageWalk> {
  await using opened = new AsyncDisposableStack()
  const browser = opened.use(await openBrowser())
  const { page, faults } = opened.use(await openPage(browser))
  const show = async (view: string): Promise<string> => {
    // From another document, or what is read may be the view before.
    await page.goto('about:blank')
    await page.goto(`${url}#/${view}`)
    const text = await readMain(page)
    // Which of two hosts brought a copy to the other is chance.
    return `page$ #/${view}\n${view === 'cluster' ? text.replace(/- cell "[\d.]+ (?:[KMGT]i)?B"/g, '- cell "SIZE"') : text}`
  }
  const press = async (name: string | RegExp): Promise<void> =>
    await page.getByRole('button', { name, exact: true }).click()
  const resources = opened.move()
  return {
    async look() {
      const read: string[] = []
      for (const view of views) read.push(await show(view))
      read.push(await changeByHand(page, show, press))
      if (faults.length > 0) throw new Error(`the page broke: ${faults.join('\n')}`)
      return `# The page\n\n${read.join('\n')}`
    },
    async lookForLost() {
      await page.goto(`${url}#/`)
      await page.getByText('out of reach').first().waitFor()
      await page.getByText('Nothing moves right now.').first().waitFor()
      return `# The page, while host-b is down\n\npage$ #/\n${await readMain(page)}`
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** Leaves everything as it was. */
async function changeByHand(
  page: Page,
  show: (view: string) => Promise<string>,
  press: (name: string) => Promise<void>,
): Promise<string> {
  await show('image/team/app:1')
  const read: string[] = []
  for (const [button, way] of [
    ['Tag it…', 'Close'],
    ['Free this node’s copy…', 'Keep everything as it is'],
    ['Delete team/app:1…', 'Keep everything as it is'],
  ] as const) {
    await press(button)
    read.push(`page$ press ${button}\n${await page.getByRole('dialog').ariaSnapshot()}\n`)
    await press(way)
  }
  await press('Tag it…')
  await page.getByLabel('Tag', { exact: true }).fill('page')
  await press('Tag it')
  await page.getByRole('link', { name: 'team/app:page' }).click()
  await page.getByRole('heading', { level: 1, name: 'team/app:page' }).waitFor()
  await press('Delete team/app:page…')
  await press('Delete the tag')
  await page.getByRole('heading', { level: 1, name: 'team/app', exact: true }).waitFor()
  return read.join('\n')
}

async function readMain(page: Page): Promise<string> {
  await page.locator('main h1').first().waitFor()
  let text = ''
  for (let before: string | undefined; before !== text || isWaiting.test(text); ) {
    before = text
    // Long enough for an answer that changes something beside what was waited for.
    await page.waitForTimeout(settleMs)
    text = await page.locator('main').ariaSnapshot()
  }
  return `${text
    // What the doctor says of docker is this host's: the command line is told of another one.
    .replace(
      /^( *)- region "What the doctor says of this node":\n(?:\1 +.*\n)*/gm,
      '$1- region "What the doctor says of this node": …\n',
    )
    // A row's name is its cells', which follow.
    .replace(/- row ".*":/g, '- row:')}\n`
}

/** What is asked of every view: that axe finds nothing, that the Tab key reaches every control, and what the node says. */
import axe from 'axe-core'
import type { Page } from 'playwright-core'
import type { BlobEvent, StateEvent } from '../../node/page/answers/live.ts'

interface AxeResults {
  violations: { id: string; nodes: { target: unknown[]; failureSummary?: string }[] }[]
}

/** One line for each place that breaks a rule of WCAG 2.2 A or AA. */
export async function findViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const options = { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }
  const { violations } = (await page.evaluate(`axe.run(document, ${JSON.stringify(options)})`)) as AxeResults
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary = '' }) => `${id} at ${target.join(' ')}: ${failureSummary}`),
  )
}

export interface Reach {
  controls: number
  /** Those that the Tab key did not come to, as they look in the page. */
  missed: string[]
}

const maxTabs = 300

/** Goes through a view with the Tab key alone. Of radio buttons, which the arrow keys choose among, one is enough. */
export async function reachByKeyboard(page: Page): Promise<Reach> {
  await page.evaluate(`
    window.scrollTo(0, 0)
    document.activeElement?.blur()
    globalThis.controls = [...document.querySelectorAll('a[href], button, input, select, textarea, [tabindex="0"]')]
      .filter((element) => element.checkVisibility() && !element.disabled && element.tabIndex >= 0)
    globalThis.reached = new Set()
  `)
  for (let step = 0; step < maxTabs; step++) {
    await page.keyboard.press('Tab')
    const isOver = await page.evaluate(`
      (() => {
        const at = document.activeElement
        if (globalThis.reached.has(at)) return true
        // Focus may begin in the middle of the view, and passes the end of the document once.
        globalThis.reached.add(at)
        return false
      })()
    `)
    if (isOver) break
  }
  return (await page.evaluate(`
    (() => {
      const { controls, reached } = globalThis
      const groups = new Set([...reached].filter(({ type }) => type === 'radio').map(({ name }) => name))
      const isMissed = (one) => one.isConnected && !reached.has(one) && !(one.type === 'radio' && groups.has(one.name))
      return { controls: controls.length, missed: controls.filter(isMissed).map((one) => one.outerHTML.slice(0, 200)) }
    })()
  `)) as Reach
}

/** What the node tells whoever watches, read once. */
export async function readState(url: string): Promise<StateEvent> {
  return (await readEvents(`${url}api/live`)).state
}

export async function readBlob(url: string, digest: string): Promise<BlobEvent> {
  const { blob } = await readEvents(`${url}api/live?blob=${digest}`)
  if (blob === undefined) throw new Error('the node tells nothing of the blob')
  return blob
}

async function readEvents(url: string): Promise<{ state: StateEvent; blob?: BlobEvent }> {
  const response = await fetch(url)
  if (!response.ok || response.body === null) throw new Error(`${url} was answered with ${response.status}`)
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true })
    const state = dataOf(text, 'state')
    const blob = dataOf(text, 'blob')
    if (state === undefined || (url.includes('blob=') && blob === undefined)) continue
    return { state: JSON.parse(state), ...(blob === undefined ? {} : { blob: JSON.parse(blob) }) }
  }
  throw new Error(`${url} ended before it told anything`)
}

function dataOf(text: string, event: string): string | undefined {
  return new RegExp(`^event: ${event}\\ndata: (.*)\\n\\n`, 'm').exec(text)?.[1]
}

/** The page in a real browser, over three nodes between which a layer is on its way. */
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callRunningNode } from '../../node/admin/client.ts'
import type { Rows } from '../../node/page/answers/answer.ts'
import type { ImageAnswer, TagRow } from '../../node/page/answers/images.ts'
import type { RulesAnswer, StorageAnswer, UpstreamsAnswer } from '../../node/page/answers/storage.ts'
import { formatBytes, formatNumber, shortDigest } from '../../node/page/client/format.ts'
import { freeableInWords } from '../../node/page/client/words.ts'
import { until } from '../swarm/fixture.ts'
import { type OpenedPage, openBrowser, openPage } from './browser.ts'
import { findViolations, reachByKeyboard, readBlob, readState } from './page-checks.ts'
import { hostile, openPageCluster, type PageCluster, type PageNode, setPolicy } from './page-cluster.ts'
import { run, showOutputOnFailure } from './process.ts'
import { requires } from './requirement.ts'

const names = ['harbour', 'lighthouse', 'quay']
const shoal = path.join(import.meta.dirname, '../../scripts/shoal')
/** Screenshots are left in this folder when it is named. */
const shots = process.env.SCREENSHOTS

describe('the page', requires('linux', 'shoal', 'chromium'), () => {
  let cluster: PageCluster
  let browser: Browser
  let opened: OpenedPage
  let page: Page
  let large: string
  const stop = new AbortController()
  const resources = new AsyncDisposableStack()
  showOutputOnFailure(() => [cluster?.here.registry, cluster?.source.registry])

  beforeAll(async () => {
    const [openedCluster, openedBrowser] = await Promise.all([openPageCluster(), openBrowser()])
    cluster = resources.use(openedCluster)
    browser = resources.use(openedBrowser)
    opened = resources.use(await openPage(browser))
    page = opened.page
    large = cluster.large.layers[0]?.descriptor.digest ?? ''
    // What is to be kept stands back behind pulls, so it comes before they begin.
    await run(shoal, ['keep', 'add', 'library/**', '--data', cluster.here.registry.data])
    const isKept = async () => (await ask<RulesAnswer>('keep')).rules[0]?.complete === 1
    await until('the image to be kept', isKept, 30_000)
    const namesHere = async () =>
      (await readState(cluster.here.url)).members.map(({ name }) => name).toSorted()
    await until('its members to be known by name', async () => (await namesHere()).join() === names.join())
    for (const node of [cluster.here, cluster.third]) void cluster.pullLarge(node, { signal: stop.signal })
    if (shots !== undefined) mkdirSync(shots, { recursive: true })
  })
  afterAll(async () => {
    stop.abort(new Error('the tests are over'))
    await resources.disposeAsync()
  })

  const ask = async <T>(of: string): Promise<T> =>
    (await (await fetch(`${cluster.here.url}api/${of}`)).json()) as T
  const operate = async (at: PageNode, name: 'policy-show' | 'account-ls') =>
    (await callRunningNode(at.registry.data, name, {}, () => undefined))?.result
  /** The policy is set where the authority is, and here it is looked at. */
  const govern = async (policy: object) => {
    await setPolicy(cluster.source, policy)
    const policies = async () =>
      await Promise.all([cluster.source, cluster.here].map((at) => operate(at, 'policy-show')))
    const isHere = async () => new Set((await policies()).map((one) => JSON.stringify(one))).size === 1
    await until('the policy to be here', isHere)
  }
  const show = (hash: string) => page.goto(`${cluster.here.url}${hash}`)
  const sees = (text: string | RegExp) => page.getByText(text).first().waitFor()
  const settled = () => expect.poll(() => page.locator('.waiting').count(), { timeout: 20_000 }).toBe(0)
  const shoot = async (name: string) => {
    if (shots !== undefined) await page.screenshot({ path: path.join(shots, `${name}.png`) })
  }

  it('shows the cluster, what moves in it, and what was pushed last', async () => {
    await show('')
    await sees('3 members, all connected.')
    await page.locator('.flows path').first().waitFor()
    await page.getByRole('progressbar').nth(1).waitFor()
    const { members, transfers } = await readState(cluster.here.url)
    expect(members.map(({ name }) => name).toSorted()).toEqual(names)
    expect(transfers.map(({ to }) => members.find(({ peer }) => peer === to)?.name).toSorted()).toEqual([
      'harbour',
      'quay',
    ])
    expect((await page.locator('.picture text').allTextContents()).toSorted()).toEqual(names)
    await page.getByRole('link', { name: 'team/models:large' }).waitFor()
    await shoot('page-light')
  })

  it('says why a pull is slow, two clicks away, while its pieces arrive', async () => {
    await show('')
    await page.getByRole('link', { name: `team/models ${shortDigest(large)}` }).click()
    await page.getByRole('heading', { name: 'Why not faster?' }).waitFor()
    await sees(/lighthouse sends at most 256 KiB\/s \(its --max-upload\)/)
    const before = await heldPieces(page)
    const told = await readBlob(cluster.here.url, large)
    expect(told.transfer?.pieces).toBe(before.pieces)
    expect(Math.abs((told.transfer?.held ?? 0) - before.held)).toBeLessThan(20)
    const rows = await page.locator('.swarm tbody tr .member').allTextContents()
    expect(rows.toSorted()).toEqual(['lighthouse', 'quay'])
    await expect
      .poll(async () => (await heldPieces(page)).held, { timeout: 20_000 })
      .toBeGreaterThan(before.held)
    await shoot('page-blob-light')
  })

  it('finds an image as one types, and says whether it is everywhere', async () => {
    await show('')
    await page.keyboard.press('/')
    await page.keyboard.type('shop:1.4.2')
    await page.getByRole('option', { name: 'tag team/shop:1.4.2' }).waitFor()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'team/shop:1.4.2' }).waitFor()
    await sees('Only lighthouse holds all of it; 2 members lack some of it.')
    const image = await ask<ImageAnswer>('image?repository=team/shop&reference=1.4.2&holders=1')
    await sees(formatBytes(image.totalBytes))
    const [platform] = image.platforms
    const layers = platform?.content?.layers ?? []
    expect(await page.locator('.layers tbody tr').count()).toBe(layers.length)
    expect(await page.locator('.layers tbody tr td:nth-child(2)').allTextContents()).toEqual(
      layers.map(({ bytes }) => formatBytes(bytes)),
    )
    await page.getByLabel('linux/arm64').check()
    await page.getByRole('link', { name: /^Signature/ }).waitFor()
    expect(await page.locator('.referrer').count()).toBe(image.referrers.length)
    await shoot('page-image-light')
  })

  it('lists repositories and tags', async () => {
    await show('#/repositories')
    await page.getByRole('link', { name: 'team/shop', exact: true }).click()
    await page.getByRole('heading', { level: 1, name: 'team/shop' }).waitFor()
    const { rows } = await ask<Rows<TagRow>>('tags?repository=team/shop')
    await page.getByRole('link', { name: '1.4.1' }).waitFor()
    expect(await page.locator('.tags tbody .name').allTextContents()).toEqual(rows.map(({ tag }) => tag))
    await page.getByLabel('Only tags with').fill('1.4')
    await sees('2 tags')
    await page.getByLabel('By name').check()
    await page.locator('.tags tbody tr:first-child .name', { hasText: '1.4.1' }).waitFor()
  })

  it('draws the last hour, and names the pulls that failed and why', async () => {
    for (const path of ['manifests/1.4.1', 'manifests/9'])
      await cluster.here.client.ask('GET', `/v2/team/shop/${path}`)
    await show('')
    await sees(/^Clients read .* in \d+ pulls? of manifests and blobs\./)
    await page.locator('.chart canvas').nth(1).waitFor()
    const failed = page.locator('.failures li')
    await failed.filter({ hasText: 'team/shop:9' }).filter({ hasText: 'for 127.0.0.1' }).waitFor()
    expect(await failed.count()).toBe(1)
  })

  it('gives an image another name, brings it here, and deletes several tags at once', async () => {
    await show('#/image/team/cellar:7')
    await page.getByRole('button', { name: 'Tag it…' }).click()
    const tagging = page.getByRole('dialog', { name: 'Tag it' })
    await tagging.getByLabel('Tag', { exact: true }).fill('not a tag')
    await tagging.getByRole('button', { name: 'Tag it' }).click()
    await tagging.getByRole('alert').waitFor()
    for (const tag of ['8', '9']) {
      await tagging.getByLabel('Tag', { exact: true }).fill(tag)
      await tagging.getByRole('button', { name: 'Tag it' }).click()
      await page.getByRole('link', { name: `team/cellar:${tag}` }).waitFor()
      if (tag === '8') await page.getByRole('button', { name: 'Tag it…' }).click()
    }
    await page.getByRole('button', { name: 'Bring it to this node…' }).click()
    await page.getByRole('button', { name: 'Bring it', exact: true }).click()
    // Behind the pulls that go on, and so not before the tests are over.
    await sees(/^It comes\. It stops when this page is closed/)
    await page.getByRole('button', { name: 'Close' }).click()
    await show('#/repository/team/cellar')
    for (const tag of ['8', '9']) await page.getByLabel(`Choose ${tag}`).check()
    await page.getByRole('button', { name: 'Delete 2 tags…' }).click()
    await page.getByRole('button', { name: 'Delete 2 tags', exact: true }).click()
    await sees(/^1 tag$/)
    expect((await ask<Rows<TagRow>>('tags?repository=team/cellar')).rows.map(({ tag }) => tag)).toEqual(['7'])
  })

  it('shows the members, and what passes between each two', async () => {
    await show('#/cluster')
    await page.getByRole('heading', { name: 'Between members' }).waitFor()
    await page.locator('.flows-list li').nth(1).waitFor()
    const { members } = await readState(cluster.here.url)
    expect(await page.locator('.members tbody tr').count()).toBe(members.length)
    const lines = await page.locator('.flows-list li').allTextContents()
    expect(lines.some((line) => line.startsWith('lighthouse to quay'))).toBe(true)
  })

  it('says what can be freed', async () => {
    await show('')
    await settled()
    const answered = page.waitForResponse(`${cluster.here.url}api/storage`)
    await page.getByRole('link', { name: 'Storage' }).click()
    const storage = (await (await answered).json()) as StorageAnswer
    await page.getByRole('heading', { name: 'What is stored' }).waitFor()
    await sees(freeableInWords(storage))
    await sees(`${formatNumber(storage.blobs)}, ${formatBytes(storage.blobBytes)}`)
  })

  it('shows the keep rules and how complete they are, and the upstreams', async () => {
    await show('#/keep')
    await sees('Everything that is to be kept here is here: 1 image.')
    await page.getByRole('progressbar', { name: 'Complete images of library/**' }).waitFor()
    await show('#/upstreams')
    const { upstreams } = await ask<UpstreamsAnswer>('upstreams')
    await page.locator('main .lead').waitFor()
    expect(await page.locator('.upstreams tbody .name').count()).toBe(upstreams.length)
  })

  it('shows what strangers wrote as text, and makes no link but of an honest address', async () => {
    await show('#/image/lab/odd:labels')
    await page.getByRole('heading', { name: 'Labels' }).waitFor()
    for (const text of Object.values(hostile)) await page.getByText(text, { exact: true }).first().waitFor()
    const links = await page
      .locator('.stranger[href]')
      .evaluateAll((all) => all.map((link) => [link.getAttribute('href'), link.getAttribute('rel')]))
    expect(links).toEqual([[hostile.honest, 'noopener noreferrer nofollow']])
    expect(await page.locator('main script, main img').count()).toBe(0)
    expect(await page.title()).toBe('lab/odd:labels · Shoal')
  })

  it('asks before it deletes a tag', async () => {
    await show('#/image/team/cellar:7')
    await page.getByRole('button', { name: 'Delete team/cellar:7…' }).click()
    const dialog = page.getByRole('dialog', { name: 'Delete team/cellar:7?' })
    await dialog.getByRole('button', { name: 'Keep everything as it is' }).click()
    await dialog.waitFor({ state: 'hidden' })
    expect((await ask<Rows<TagRow>>('tags?repository=team/cellar')).total).toBe(1)
    await page.getByRole('button', { name: 'Delete team/cellar:7…' }).press('Enter')
    await dialog.getByRole('button', { name: 'Delete the tag' }).click()
    await sees('No tag points into this repository.')
    expect((await ask<Rows<TagRow>>('tags?repository=team/cellar')).total).toBe(0)
  })

  it('says which rule refuses a deletion', async () => {
    await govern({ immutable: [{ repositories: 'library/**', tags: '*' }] })
    await show('#/image/library/base:bookworm')
    await page.getByRole('button', { name: 'Delete library/base:bookworm…' }).click()
    await page.getByRole('button', { name: 'Delete the tag' }).click()
    await sees(/tags "\*" of "library\/\*\*" are immutable/i)
    await page.keyboard.press('Escape')
    expect((await ask<Rows<TagRow>>('tags?repository=library/base')).total).toBe(1)
  })

  const views = [
    '',
    '#/repositories',
    '#/repository/team/shop',
    '#/image/team/shop:1.4.2',
    '#/cluster',
    '#/storage',
    '#/keep',
    '#/upstreams',
  ]

  it.each(['light', 'dark'] as const)(
    'breaks no rule of WCAG AA in %s, and is worked with the keyboard',
    async (colorScheme) => {
      await page.emulateMedia({ colorScheme })
      for (const view of [...views, `#/blob/${large}`]) {
        await show(view)
        await settled()
        expect(await findViolations(page), `${view} in ${colorScheme}`).toEqual([])
        if (colorScheme === 'dark') continue
        const { controls, missed } = await reachByKeyboard(page)
        expect(missed, view).toEqual([])
        expect(controls).toBeGreaterThan(5)
      }
      await show('')
      await page.locator('.flows path').first().waitFor()
      await shoot(`page-${colorScheme}`)
      await page.emulateMedia({ colorScheme: 'light' })
    },
  )

  it('fits a phone, with every view in sight to go to', async () => {
    await page.setViewportSize({ width: 390, height: 844 })
    await show('')
    for (const link of await page.getByRole('navigation').getByRole('link').all()) {
      const { x = 0, width = 0 } = (await link.boundingBox()) ?? {}
      expect(x + width, (await link.textContent()) ?? '').toBeLessThanOrEqual(390)
    }
    for (const view of views) {
      await show(view)
      await settled()
      const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
      expect(overflow, view).toBeLessThanOrEqual(0)
    }
    await show('')
    await page.locator('.flows path').first().waitFor()
    await shoot('page-phone')
    await page.setViewportSize({ width: 1280, height: 860 })
  })

  describe('to whom rules say what they may', () => {
    const data = () => cluster.source.registry.data
    const password = 'root’s long password'
    const signIn = async (name: string, secret: string) => {
      await page.getByLabel('Name').fill(name)
      await page.getByLabel('Password').fill(secret)
      await page.getByLabel('Password').press('Enter')
    }

    it('shows nothing but how to sign in, and who signs in what their rules say', async () => {
      await run(shoal, ['account', 'add', 'root', '--password-stdin', '--data', data()], { input: password })
      const { self } = await readState(cluster.here.url)
      const all = ['pull', 'push', 'delete', 'admin', 'members']
      const access = [
        { repositories: '**', who: ['user:root'], may: all },
        { repositories: 'team/**', who: ['group:team'], may: ['pull'] },
      ]
      const isKnown = async () => JSON.stringify(await operate(cluster.here, 'account-ls')).includes('root')
      await until('the account to be here', isKnown)
      await govern({ administrators: [self], access })
      await show('')
      await page.getByRole('heading', { name: 'Sign in' }).waitFor()
      expect(await findViolations(page)).toEqual([])
      expect((await reachByKeyboard(page)).missed).toEqual([])
      await signIn('root', 'not the password')
      await sees(/The name or the password is wrong/)
      await signIn('root', password)
      await sees('3 members, all connected.')
      await page.reload()
      await page.getByRole('link', { name: 'root', exact: true }).waitFor()
    })

    it('makes a person and a robot, whose secret is shown once', async () => {
      await page.getByRole('link', { name: 'Accounts' }).click()
      await page.getByRole('button', { name: 'Add a person…' }).click()
      const person = page.getByRole('dialog', { name: 'Add a person' })
      expect(await findViolations(page)).toEqual([])
      await person.getByLabel('Name').fill('ann')
      await person.getByLabel('Password').fill('ann’s long password')
      await person.getByLabel('Groups').fill('team, ops')
      await person.getByRole('button', { name: 'Add the person' }).click()
      await page.getByRole('cell', { name: 'team, ops' }).waitFor()
      await page.getByRole('button', { name: 'Add a robot…' }).click()
      const robot = page.getByRole('dialog', { name: 'Add a robot' })
      await robot.getByLabel('Name').fill('deploy')
      await robot.getByLabel('Expires after days').fill('90')
      await robot.getByRole('button', { name: 'Add the robot' }).click()
      await page.getByText(/^shoal_[\w-]{43}$/).waitFor()
      await page.reload()
      await page.getByRole('cell', { name: 'robot$deploy', exact: true }).waitFor()
      expect(await page.getByText(/^shoal_/).count()).toBe(0)
      await page.getByRole('button', { name: 'Change robot$deploy…' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Disable' }).click()
      await page.getByRole('cell', { name: 'disabled' }).waitFor()
      await shoot('page-accounts-light')
    })

    it('invites a host by a token that is shown once, takes it back, and names a member', async () => {
      await page.getByRole('link', { name: 'Members' }).click()
      await sees('3 members are here. Whoever has the token is a member.')
      await page.getByRole('button', { name: 'Invite a host…' }).click()
      const invite = page.getByRole('dialog', { name: 'Invite a host' })
      await invite.getByLabel('Hosts').fill('2')
      expect(await findViolations(page)).toEqual([])
      await invite.getByRole('button', { name: 'Make the token' }).click()
      await page.getByText(/^shoal1/).waitFor()
      await page.getByRole('button', { name: 'Copy: the token' }).waitFor()
      await shoot('page-members-light')
      await page.reload()
      await page.getByRole('cell', { name: '0 of 2' }).waitFor()
      expect(await page.getByText(/^shoal1/).count()).toBe(0)
      await page.getByRole('button', { name: /^Revoke/ }).click()
      await page.getByRole('button', { name: 'Revoke it' }).click()
      await page.getByRole('cell', { name: 'revoked' }).waitFor()
      await page.getByRole('button', { name: 'Change quay…' }).click()
      await sees('Bans take the authority’s key: use the page of the node that has it.')
      expect(await findViolations(page)).toEqual([])
      await page.getByRole('textbox', { name: 'Name' }).fill('pier')
      await page.getByRole('button', { name: 'Rename' }).click()
      await page.getByRole('button', { name: 'Change pier…' }).click()
      await page.getByRole('textbox', { name: 'Name' }).fill('quay')
      await page.getByRole('button', { name: 'Rename' }).click()
      await page.getByRole('button', { name: 'Change quay…' }).waitFor()
    })

    it.each(['light', 'dark'] as const)(
      'explains who may do what, fits a phone, and breaks no rule in %s',
      async (colorScheme) => {
        await page.emulateMedia({ colorScheme })
        await show('#/access')
        await page.getByLabel('Who', { exact: true }).fill('ann')
        await page.getByLabel('Repository').fill('team/shop')
        await page.getByRole('button', { name: 'Explain' }).click()
        await sees(/ann may pull in team\/shop: rule 2 is the first that matches/)
        for (const view of ['#/access', '#/accounts', '#/account', '#/members']) {
          await show(view)
          await settled()
          await page.locator('main h1').waitFor()
          expect(await findViolations(page), view).toEqual([])
          if (colorScheme === 'dark') continue
          expect((await reachByKeyboard(page)).missed, view).toEqual([])
          await page.setViewportSize({ width: 390, height: 844 })
          const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
          expect(overflow, view).toBeLessThanOrEqual(0)
          await page.setViewportSize({ width: 1280, height: 860 })
        }
        await page.emulateMedia({ colorScheme: 'light' })
      },
    )

    it('signs out in every tab, and shows the next who signs in no more than theirs', async () => {
      const other = await page.context().newPage()
      await other.goto(cluster.here.url)
      await other.getByText('3 members, all connected.').waitFor()
      await show('#/account')
      await page.getByRole('button', { name: 'Sign out' }).click()
      for (const tab of [page, other]) await tab.getByRole('heading', { name: 'Sign in' }).waitFor()
      await other.close()
      await signIn('ann', 'ann’s long password')
      await page.getByRole('heading', { name: 'ann' }).waitFor()
      await show('')
      await page.getByRole('link', { name: 'team/shop', exact: true }).waitFor()
      expect(await page.getByRole('link', { name: 'library/base' }).count()).toBe(0)
      const sections = await page.getByRole('navigation').getByRole('link').allTextContents()
      expect(sections).toEqual(['Images', 'ann'])
      await page.getByRole('link', { name: 'ann', exact: true }).click()
      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.getByRole('heading', { name: 'Sign in' }).waitFor()
      await govern({})
    })
  })

  it('says who is out of reach, and that it is not heard of itself', async () => {
    await show('')
    await sees('3 members, all connected.')
    await cluster.third.registry.kill()
    await sees('2 members connected; quay is out of reach.')
    expect((await readState(cluster.here.url)).lost.map(({ name }) => name)).toEqual(['quay'])
    await cluster.here.registry.kill()
    await sees('The node is not heard of.')
    await page.getByRole('link', { name: 'Images' }).click()
    await sees('The node does not answer.')
  })

  it('asked nobody but its node, and broke nothing on the way', () => {
    const foreign = opened.requests.filter((url) => !url.startsWith(cluster.here.url))
    expect(foreign).toEqual([])
    // The browser itself says so when the node refuses a name or a deletion, or who signs in, or is gone.
    const faults = opened.faults.filter(
      (fault) =>
        !/40[013] \((?:Bad Request|Forbidden|Unauthorized)\)|ERR_CONNECTION_REFUSED|ERR_/.test(fault),
    )
    expect(faults).toEqual([])
  })
})

async function heldPieces(page: Page): Promise<{ held: number; pieces: number }> {
  const text = await page.locator('.pieces figcaption').textContent()
  const [, held = '', pieces = ''] = /^([\d,]+) of ([\d,]+) pieces/.exec(text ?? '') ?? []
  return { held: Number(held.replaceAll(',', '')), pieces: Number(pieces.replaceAll(',', '')) }
}

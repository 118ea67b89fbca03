import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeImage } from '../../e2e/image.ts'
import { codeOf, type ServedPage, servePage } from './fixture.ts'

let page: ServedPage
beforeEach(async () => {
  page = await servePage()
  await page.operated.push('team/app', '1', makeImage({ seed: 'app', layerBytes: [100] }))
})
afterEach(async () => {
  await page[Symbol.asyncDispose]()
})
const set = (access: unknown) => page.operated.perform('policy-set', { policy: { access } })

describe('the page, on which nobody can sign in yet', () => {
  it.each([
    ['some may be read', [{ repositories: 'open/**', who: ['anonymous'], may: ['pull'] }]],
    ['all may be read by people with an account', [{ repositories: '**', who: ['anyone'], may: ['pull'] }]],
  ])('tells nothing where only %s', async (_, access) => {
    await set(access)
    for (const path of [
      'repositories',
      'tags?repository=team/app',
      'search?q=app',
      'image?name=team/app:1',
      'live',
      'policy',
      'token',
    ]) {
      const answer = await page.ask(`/api/${path}`)
      expect([answer.status, codeOf(answer)]).toEqual([403, 'CLOSED'])
    }
    const removal = await page.ask('/api/delete-tag', { method: 'POST', body: '{}' })
    expect(removal.status).toBe(403)
  })

  it('changes nothing where everybody may read, and not delete', async () => {
    await set([{ repositories: '**', who: ['anonymous'], may: ['pull', 'push'] }])
    expect((await page.ask('/api/repositories')).body).toContain('team/app')
    const answer = await page.change('/api/delete-tag', { repository: 'team/app', tag: '1' })
    expect([answer.status, codeOf(answer)]).toEqual([403, 'READ_ONLY'])
  })

  it('is cut off for who watched when the rules came', async () => {
    const watching = await page.open('/api/live')
    const ended = new Promise((resolve) => watching.once('close', resolve).once('error', resolve))
    watching.resume()
    await set([{ repositories: '**', who: ['anyone'], may: ['pull'] }])
    await ended
  })
})

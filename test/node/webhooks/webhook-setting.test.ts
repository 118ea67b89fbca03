import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readWebhook, webhook } from '../../../node/webhooks/webhook-setting.ts'

describe('a webhook', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shoal-webhook-'))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true })
  })

  async function read(content: unknown, environment: NodeJS.ProcessEnv = {}) {
    const file = join(folder, 'hook.json')
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
    return await readWebhook(webhook(file), environment)
  }

  it('is a URL, told of everything and without headers', async () => {
    const url = 'https://hooks.example.com/shoal?key=1'
    expect(await readWebhook(webhook(url), {})).toEqual({
      url: new URL(url),
      headers: {},
      actions: ['pull', 'push', 'delete'],
    })
  })

  it('is a file whose headers are in it, in other files, or in the environment', async () => {
    await writeFile(join(folder, 'token'), 'Bearer secret\n')
    const content = {
      url: 'https://hooks.example.com',
      headers: { Authorization: { file: join(folder, 'token') }, 'X-Key': { env: 'KEY' }, 'X-Site': 'a' },
      actions: ['delete', 'push'],
    }
    expect(await read(content, { KEY: 'k' })).toEqual({
      url: new URL('https://hooks.example.com'),
      headers: { Authorization: 'Bearer secret', 'X-Key': 'k', 'X-Site': 'a' },
      actions: ['push', 'delete'],
    })
  })

  it.each(['ftp://a', 'https://user:secret@a', 'https://a/#secret', '', 'http://', '://secret'])(
    'is not %j',
    (given) => {
      expect(() => webhook(given)).toThrow(/URL without a user name/)
      expect(() => webhook(given)).not.toThrow(/secret/)
    },
  )

  const url = 'https://a'
  it.each([
    'secret',
    '[]',
    { url: 'https://user:secret@a' },
    { headers: {} },
    { url, secret: 1 },
    { url, actions: [] },
    { url, actions: ['push', 'look'] },
    { url, actions: ['push', 'push'] },
    { url, headers: [] },
    { url, headers: Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`x-${at}`, 'a'])) },
    { url, headers: { 'Content-Type': 'a' } },
    { url, headers: { 'a b': 'c' } },
    { url, headers: { a: 'secret\nb: c' } },
    { url, headers: { a: 7 } },
    { url, headers: { a: { env: 'NOT_SET' } } },
    { url, headers: { a: { file: '/does/not/exist' } } },
    { url, headers: { a: { file: '/x', env: 'Y' } } },
  ])('is not a file that holds %j, and the message holds no secret', async (content) => {
    const failure = await read(content).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'WEBHOOK' })
    const values = String(failure).replace('"secret" is no key', '')
    expect(values).not.toContain('secret')
  })

  it('is not a file that is not there', async () => {
    await expect(readWebhook(webhook(join(folder, 'none')), {})).rejects.toMatchObject({ code: 'WEBHOOK' })
  })
})

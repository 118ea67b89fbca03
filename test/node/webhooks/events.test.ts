import { expect, it } from 'vitest'
import { notificationOf } from '../../../node/webhooks/events.ts'
import { blobPull, digest, finished, manifestPull, startMs } from '../requests/finished.ts'

const source = { addr: '127.0.0.1:5000', instanceID: 'peer-a' }
const request = { headers: { host: 'localhost:5000', 'user-agent': 'docker/28.0' } }
const uuid = expect.stringMatching(/^[0-9a-f-]{36}$/)

const eventOf = (...of: Parameters<typeof finished>): unknown =>
  JSON.parse(notificationOf(finished(...of), source)?.text ?? 'null')

it('tells of a pull as the distribution does', () => {
  expect(eventOf({ pull: manifestPull({ local: 100 }) }, request)).toEqual({
    id: uuid,
    timestamp: new Date(startMs + 100).toISOString(),
    action: 'pull',
    target: {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      size: 100,
      digest,
      length: 100,
      repository: 'team/app',
      url: `http://localhost:5000/v2/team/app/manifests/${digest}`,
      tag: '1.0',
    },
    request: {
      id: uuid,
      addr: '127.0.0.1:4711',
      host: 'localhost:5000',
      method: 'GET',
      useragent: 'docker/28.0',
    },
    actor: {},
    source,
  })
})

it('names the account of who asked', () => {
  const push = {
    kind: 'blob',
    repository: 'a',
    digest,
    mediaType: 'm',
    size: 5,
    tags: [],
    isMount: false,
  } as const
  expect(eventOf({ push, account: 'ann' }, request)).toMatchObject({ actor: { name: 'ann' } })
})

it('tells of pushes, mounts and deletions', () => {
  const push = { kind: 'blob', repository: 'team/app', digest, mediaType: 'm', size: 5, tags: [] } as const
  expect(eventOf({ push: { ...push, isMount: false } }, request)).toMatchObject({
    action: 'push',
    target: { digest, url: `http://localhost:5000/v2/team/app/blobs/${digest}` },
  })
  expect(eventOf({ push: { ...push, isMount: true } })).toMatchObject({ action: 'mount', target: { digest } })
  const tagged = { ...push, kind: 'manifest', tags: ['1', '2'], isMount: false } as const
  expect(eventOf({ push: tagged })).toMatchObject({ target: { tag: '1' } })
  const deleted = { repository: 'team/app' }
  expect(eventOf({ deletion: { ...deleted, kind: 'tag', reference: '1.0' } })).toMatchObject({
    action: 'delete',
    target: { repository: 'team/app', tag: '1.0' },
  })
  expect(eventOf({ deletion: { ...deleted, kind: 'manifest', reference: digest } })).toMatchObject({
    target: { repository: 'team/app', digest },
  })
})

it('tells nothing of a pull that broke off, or of what is none', () => {
  const broken = blobPull({ local: 5 }, { isComplete: false })
  expect(notificationOf(finished({ pull: broken }), source)).toBeUndefined()
  expect(notificationOf(finished(), source)).toBeUndefined()
})

it('takes no more from a client than fits, and no address that is none', () => {
  const headers = { host: 'evil/../"', 'user-agent': 'x'.repeat(10_000) }
  expect(eventOf({ pull: blobPull({ local: 100 }) }, { headers })).toMatchObject({
    target: { url: `http://127.0.0.1:5000/v2/team/app/blobs/${digest}` },
    request: { useragent: 'x'.repeat(256) },
  })
})

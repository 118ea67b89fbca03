/** Which pulls count as failing, and how many images are remembered. */
import { expect, it } from 'vitest'
import { keepFailedPulls } from '../../../node/requests/failed-pulls.ts'
import { SignInError } from '../../../src/access/access.ts'
import { ClientGoneError } from '../../../src/http/exchange.ts'
import { OciError } from '../../../src/oci/oci.ts'
import { blobPull, digest, finished, startMs } from './finished.ts'

const away = new OciError('UNAVAILABLE', 'the upstream docker.io does not answer')
const none = new OciError('MANIFEST_UNKNOWN', 'team/app has no manifest nope')
const ask = (image: string, error: unknown, method = 'GET', endMs = startMs) =>
  finished(
    { route: 'manifest', error, endMs },
    { method, url: `/v2/${image.replace(':', '/manifests/')}?ns=docker.io` },
  )

it('are told by image with the last reason, the latest first', () => {
  const pulls = keepFailedPulls()
  pulls.listener(ask('team/app:1', away, 'HEAD', startMs))
  pulls.listener(ask('team/app:2', away, 'GET', startMs + 1))
  pulls.listener(ask('team/app:1', new OciError('NO_SPACE', 'the disk is full'), 'GET', startMs + 2))
  expect(pulls.list()).toEqual([
    {
      kind: 'manifest',
      repository: 'team/app',
      reference: '1',
      code: 'NO_SPACE',
      reason: 'the disk is full',
      times: 2,
      firstMs: startMs,
      lastMs: startMs + 2,
      client: '127.0.0.1',
    },
    expect.objectContaining({ reference: '2', code: 'UNAVAILABLE', times: 1 }),
  ])
  expect(pulls.total()).toBe(3)
})

it('are also those that broke off, but not those whose client left', () => {
  const pulls = keepFailedPulls()
  const pull = blobPull({}, { isComplete: false })
  pulls.listener(finished({ route: 'blob', pull, error: new ClientGoneError() }))
  pulls.listener(finished({ route: 'blob', pull: blobPull({}) }))
  expect(pulls.list()).toEqual([])
  pulls.listener(finished({ route: 'blob', pull, error: new Error('no member gives piece 3') }))
  expect(pulls.list()).toMatchObject([
    { repository: 'team/app', reference: digest, code: 'BROKEN_OFF', reason: 'no member gives piece 3' },
  ])
})

it('are no pushes, and no questions of a push whether something is there', () => {
  const pulls = keepFailedPulls()
  pulls.listener(ask('team/app:nope', none, 'HEAD'))
  pulls.listener(ask('team/app:1', away, 'PUT'))
  pulls.listener(
    finished({ route: 'upload', error: away }, { method: 'PATCH', url: '/v2/a/blobs/uploads/x' }),
  )
  pulls.listener(ask('team/app:1', new OciError('DENIED', 'ann may not'), 'GET'))
  expect(pulls.list()).toEqual([])
  pulls.listener(ask('team/app:nope', none))
  expect(pulls.list()).toMatchObject([{ reference: 'nope', code: 'MANIFEST_UNKNOWN' }])
  expect(pulls.total()).toBe(0)
})

it('are not pushed out or counted by who does not sign in, whatever names that asks for', () => {
  const pulls = keepFailedPulls()
  pulls.listener(ask('team/app:1', away))
  const refused = new SignInError('TOOMANYREQUESTS', 'too many sign-ins failed', { retryAfterMs: 1000 })
  for (let index = 0; index < 200; index++) pulls.listener(ask(`made/up:x${index}`, refused))
  expect(pulls.list()).toHaveLength(21)
  expect(pulls.list().some(({ code }) => code === 'UNAVAILABLE')).toBe(true)
  expect(pulls.total()).toBe(1)
})

it('are bounded, and what there is not pushes out nothing that failed', () => {
  const pulls = keepFailedPulls()
  pulls.listener(ask('team/app:1', away))
  for (let index = 0; index < 200; index++) pulls.listener(ask(`team/app:x${index}`, none))
  expect(pulls.list()).toHaveLength(21)
  expect(pulls.list().some(({ code }) => code === 'UNAVAILABLE')).toBe(true)
  for (let index = 0; index < 200; index++) {
    pulls.listener(ask(`team/app:y${index}`, new OciError('UNAVAILABLE', 'x'.repeat(5_000))))
  }
  expect(pulls.list()).toHaveLength(70)
  for (const { reason } of pulls.list()) expect(reason.length).toBeLessThanOrEqual(500)
})

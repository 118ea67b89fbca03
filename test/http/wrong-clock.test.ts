import { expect, it } from 'vitest'
import { MembersTime } from '../../src/records/records.ts'
import { ManualClock } from '../records/fixture.ts'
import { openApi } from './harness.ts'

it('refuses pushes and deletions with 503 and the reason while the clock is far from the members, and serves what is here', async () => {
  const time = new MembersTime(new ManualClock(), new ManualClock())
  time.trust({ isConnected: () => true, isNamed: () => true })
  await using api = await openApi({ time })
  const image = await api.pushImage('team/app', 'v1')
  time.hear('a member', 3_600_000)
  const headers = { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }
  for (const refused of [
    await api.call('PUT', '/v2/team/app/manifests/v2', { headers, body: image.bytes }),
    await api.call('DELETE', '/v2/team/app/manifests/v1'),
  ]) {
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '60'])
    expect(refused.json()).toEqual({
      errors: [{ code: 'UNAVAILABLE', message: expect.stringContaining('clock is 3600 s behind') }],
    })
  }
  expect((await api.call('GET', '/v2/team/app/manifests/v1')).status).toBe(200)
  time.hear('a member', 0)
  const pushed = await api.call('PUT', '/v2/team/app/manifests/v2', { headers, body: image.bytes })
  expect(pushed.status).toBe(201)
})

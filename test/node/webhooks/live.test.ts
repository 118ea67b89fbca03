import { expect, it } from 'vitest'
import { openLiveNode } from '../live-node.ts'
import { openReceiver } from '../receiver.ts'

it('a node tells its webhooks of a push and a pull, whatever another one of them does', async () => {
  await using receiver = await openReceiver()
  await using hanging = await openReceiver()
  hanging.answer(() => undefined)
  let used = { manifest: '', layer: '' }
  {
    await using node = await openLiveNode(['--webhook', hanging.url.href, '--webhook', receiver.url.href])
    used = await node.useOnce()
  }
  expect(receiver.received[0]?.headers['content-type']).toBe(
    'application/vnd.docker.distribution.events.v2+json',
  )
  const events = receiver.received.flatMap(
    ({ body }) => (body as { events: { id: string; action: string; target: object }[] }).events,
  )
  const told = [...new Map(events.map((event) => [event.id, event])).values()]
  expect(told.map(({ action }) => action)).toEqual(['push', 'push', 'push', 'pull', 'pull'])
  expect(told[2]?.target).toMatchObject({ repository: 'team/app', tag: '1.0', digest: used.manifest })
  expect(told[4]?.target).toMatchObject({ repository: 'team/app', digest: used.layer, size: 5 })
})

import { expect, it } from 'vitest'
import { openLiveNode } from '../live-node.ts'
import { openReceiver } from '../receiver.ts'

it('a node sends its collector the spans of a pull before it stops', async () => {
  await using collector = await openReceiver('/v1/traces')
  {
    await using node = await openLiveNode(['--trace-endpoint', collector.url.origin])
    await node.useOnce()
  }
  const text = JSON.stringify(collector.received.map(({ body }) => body))
  const names = [...text.matchAll(/"name":"([^"]+)","kind"/g)].map(([, name]) => name)
  expect(names).toEqual(
    expect.arrayContaining([
      'PUT /v2/{name}/manifests/{reference}',
      'GET /v2/{name}/manifests/{reference}',
      'resolve',
      'GET /v2/{name}/blobs/{digest}',
      'disk',
      'first-byte',
    ]),
  )
})

import { expect, it } from 'vitest'
import { reliedUpon } from '../../../node/operations/relied-upon.ts'
import { parseDigest, parseRepository } from '../../../src/oci/oci.ts'
import { signRecord } from '../../../src/records/record.ts'
import { makeImage, makeIndex } from '../../e2e/image.ts'
import { bob } from '../../records/fixture.ts'
import { openOperatedNode } from './fixture.ts'

it('others rely on what their tags point to and what that lists, and on nothing else of an author', async () => {
  await using operated = await openOperatedNode()
  const { node } = operated
  const [index, lonely] = [makeIndex('relied'), makeImage({ seed: 'lonely', layerBytes: [10] })]
  await operated.push('team/app', '1', index)
  await operated.push('team/app', '2', lonely)
  const { digest, mediaType, size } = index.manifest.descriptor
  const value = { digest: parseDigest(digest), mediaType, size }
  const tag = signRecord({ kind: 'tag', key: 'team/app:theirs', time: [Date.now(), 0], value }, bob)
  await node.names.apply([tag.envelope.bytes])
  const keeps = await reliedUpon(node, node.membership.identity.peerId)
  const [app, other] = [parseRepository('team/app'), parseRepository('team/other')]
  for (const { descriptor } of [index.manifest, ...index.images.map(({ manifest }) => manifest)]) {
    expect(keeps(app, parseDigest(descriptor.digest))).toBe(true)
    expect(keeps(other, parseDigest(descriptor.digest))).toBe(false)
  }
  expect(keeps(app, parseDigest(lonely.manifest.descriptor.digest))).toBe(false)
  expect((await reliedUpon(node, bob.peerId))(app, parseDigest(lonely.manifest.descriptor.digest))).toBe(true)
})

/** What a node that has just started says of content that others hold. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { digestBytes, parseRepository } from '../../../src/oci/oci.ts'
import { openHonestNode } from '../../hostile/honest-node.ts'
import { temporaryFolder, until } from '../../swarm/fixture.ts'

it('gives a blob of another member at once after a start, before it has met any', async () => {
  await using stack = new AsyncDisposableStack()
  const repository = parseRepository('team/app')
  const bytes = Buffer.from('a layer')
  const digest = digestBytes(bytes)
  const first = await openHonestNode(stack)
  const { store } = first.node
  await store.blobs.write(digest, ReadableStream.from([bytes]))
  await store.links.add(repository, [digest])
  const data = join(await temporaryFolder(stack), 'data')
  {
    await using before = new AsyncDisposableStack()
    const { peers } = await openHonestNode(before, { data, join: first })
    await until('that they meet', () => peers().length > 0 && first.peers().length > 0)
  }
  await until('that one leaves', () => first.peers().length === 0)
  const { member } = await openHonestNode(stack, { data, join: first })
  await using blob = await member.elsewhere.openBlob(repository, digest)
  expect(blob?.size).toBe(bytes.length)
})

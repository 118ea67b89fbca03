import { expect, it } from 'vitest'
import { makeImage } from '../../e2e/image.ts'
import { openOperatedNode } from './fixture.ts'

it('lets no command publish while the clock is far from the members, and each says why', async () => {
  await using operated = await openOperatedNode()
  const image = makeImage({ seed: 'clock', layerBytes: [10] })
  await operated.push('team/app', '1', image)
  const { membersTime } = operated.node
  membersTime.trust({ isConnected: () => true, isNamed: () => true })
  membersTime.hear('a member', -600_000)
  const wrong = { message: expect.stringMatching(/^this node's clock is 600 s ahead of .*; set it/) }
  const asAuthority = false
  await expect(
    operated.perform('tag', { source: 'team/app:1', target: 'team/app:2', asAuthority }),
  ).rejects.toMatchObject(wrong)
  await expect(
    operated.perform('remove', { image: 'team/app:1', whole: false, dryRun: false, asAuthority }),
  ).rejects.toMatchObject(wrong)
  await expect(operated.perform('policy-set', { policy: {} })).rejects.toMatchObject(wrong)
  await expect(operated.push('team/app', '1', image)).rejects.toMatchObject({ code: 'UNAVAILABLE', ...wrong })
  membersTime.hear('a member', 0)
  await operated.perform('tag', { source: 'team/app:1', target: 'team/app:2', asAuthority })
})

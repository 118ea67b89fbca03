/** What is asked for before the rest of the cluster can be reached. */
import { expect, it } from 'vitest'
import { lateElsewhere } from '../../../node/cluster/late-elsewhere.ts'
import { parseRepository, parseTag } from '../../../src/oci/oci.ts'
import { nowhere } from '../../../src/registry/registry.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'
import { digestOf } from '../../records/fixture.ts'

const repository = parseRepository('team/app')
const tag = parseTag('1')
const digest = digestOf('it')

it('waits for those who may have it, and is put to them', async () => {
  const late = lateElsewhere(new SteppedClock())
  const bytes = Buffer.from('of a member')
  const asked: string[] = []
  const asking = late.askForTag(repository, tag)
  const fetching = late.fetchManifest(repository, digest)
  late.arrive({
    ...nowhere,
    askForTag: async (_, name) => void asked.push(name),
    fetchManifest: async () => bytes,
  })
  expect(await asking).toBeUndefined()
  expect(await fetching).toBe(bytes)
  expect(asked).toEqual([tag])
})

it('is not said to be nowhere when they do not come in time', async () => {
  const clock = new SteppedClock()
  const late = lateElsewhere(clock)
  const asking = [late.askForTag(repository, tag), late.askForManifest(repository, digest)]
  await clock.untilAsleep(5000)
  clock.advance(5000)
  expect(await Promise.all(asking)).toEqual(['silence', 'silence'])
  expect(clock.sleepers).toBe(0)
})

it('keeps no push waiting that asks for a layer', async () => {
  expect(await lateElsewhere(new SteppedClock()).findBlob(repository, digest)).toBeUndefined()
})

/** Questions about an upstream that this node reaches, put to members that do not answer them. */
import { expect, it } from 'vitest'
import { silentLogger } from '../../src/base/base.ts'
import { Asking } from '../../src/mirror/asking.ts'
import { Checks } from '../../src/mirror/checks.ts'
import type { Answer, TagQuestion } from '../../src/mirror/messages.ts'
import type { MirrorPeers } from '../../src/mirror/mirror.ts'
import { ReferrerLists } from '../../src/mirror/referrer-lists.ts'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { digestOf } from '../records/fixture.ts'
import { SteppedClock } from './stepped-clock.ts'

const there: Answer = { answer: 'there', digest: digestOf('it'), ageMs: 0, records: [] }

function question(tag: string): TagQuestion {
  const repository = parseRepository('docker.io/library/alpine')
  return { about: 'tag', repository, tag: parseTag(tag), maxAgeMs: 1000 }
}

it('are asked by this node itself after members have let a client wait in vain', async () => {
  const clock = new SteppedClock()
  const peers = {
    self: 'self',
    reaching: () => Array.from({ length: 40 }, (_, n) => `silent-${n}`),
    ask: () => new Promise<never>(() => undefined),
  } as unknown as MirrorPeers
  const others = { checks: new Checks(), lists: new ReferrerLists(), logger: silentLogger }
  const asking = new Asking({ ...others, peers, clock, reaches: () => true, answer: async () => there })
  const first = asking.askForMissing('docker.io', question('t0'))
  await clock.untilAsleep(4_500)
  clock.advance(4_500)
  expect(await first).toMatchObject({ answer: 'failed' })
  clock.advance(30_000)
  for (const tag of ['t1', 't2', 't3']) {
    expect(await asking.askForMissing('docker.io', question(tag))).toEqual(there)
  }
})

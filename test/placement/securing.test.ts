import { expect, it } from 'vitest'
import { digestBytes, mediaTypes } from '../../src/oci/oci.ts'
import type { Claim } from '../../src/placement/claims.ts'
import { Roster } from '../../src/placement/roster.ts'
import { type CopyAnswer, Securing } from '../../src/placement/securing.ts'
import { repository } from './world.ts'

const minute = 60_000
const { signal } = new AbortController()

function scene() {
  const clock = { nowMs: 0, now: () => clock.nowMs, sleep: async () => undefined }
  const roster = new Roster({ peer: 'self', room: 10 }, [], 0)
  roster.see(
    Array.from({ length: 6 }, (_, at) => ({ peer: `peer-${at}`, room: 10 })),
    0,
  )
  const digest = digestBytes(Buffer.from('image'))
  const image = { repository, digest, mediaType: mediaTypes.ociManifest, size: 100 }
  const claim: Claim = { image, key: digest, copies: 2, author: 'self', sinceMs: 0, isMirrored: false }
  const others = roster.owners.rank(digest).filter((peer) => peer !== 'self')
  const answers = new Map<string, CopyAnswer>()
  const asked: string[] = []
  const peers = {
    ask: async (peer: string) => {
      asked.push(peer)
      return [answers.get(peer) ?? 'held']
    },
  }
  const securing = new Securing({ self: 'self', roster, peers, clock, onFailure: () => undefined, signal })
  const secure = (): Promise<number> => securing.secure(claim, { others: 1, isFresh: true, signal })
  return { clock, claim, answers, asked, others, securing, secure }
}

it('asks the next when a member has been bringing it for too long', async () => {
  const { clock, answers, asked, others, secure } = scene()
  const [first = '', second = ''] = others
  answers.set(first, 'coming')
  for (const nowMs of [0, 5 * minute, 9 * minute]) {
    clock.nowMs = nowMs
    expect(await secure()).toBe(0)
  }
  expect(asked).toEqual([first, first, first])
  clock.nowMs = 10 * minute
  expect(await secure()).toBe(1)
  expect(asked.slice(3)).toEqual([first, second])
})

it('gives a member its time anew once it had the image', async () => {
  const { clock, claim, answers, asked, others, securing, secure } = scene()
  const [first = ''] = others
  answers.set(first, 'coming')
  await secure()
  clock.nowMs = 9 * minute
  expect(securing.arrived(claim.image, first)).toBe(true)
  clock.nowMs = 11 * minute
  expect(await secure()).toBe(0)
  expect(asked).toEqual([first, first])
})

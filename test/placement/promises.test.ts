import { expect, it } from 'vitest'
import { Semaphore } from '../../src/base/base.ts'
import { type Digest, digestBytes, mediaTypes } from '../../src/oci/oci.ts'
import type { ImageName } from '../../src/placement/backlog.ts'
import type { Claim } from '../../src/placement/claims.ts'
import type { Brought } from '../../src/placement/holdings.ts'
import { Promises } from '../../src/placement/promises.ts'
import { Roster } from '../../src/placement/roster.ts'
import type { CopyQuestion } from '../../src/placement/securing.ts'
import { ImageSlowError } from '../../src/placement/turn.ts'
import { repository } from './world.ts'

const { signal } = new AbortController()
const digestOf = (name: string): Digest => digestBytes(Buffer.from(name))
const whole: Brought = { isWhole: true, cause: undefined }
const slow: Brought = { isWhole: false, cause: new ImageSlowError('it did not come within its turn') }

/** Images that a member asks for; `bring` says what comes of each turn. */
function scene(bring: (name: string) => Promise<Brought>) {
  const clock = { now: () => 0, sleep: async () => undefined }
  const names = new Map(['slow', 'other'].map((name) => [digestOf(name), name]))
  const claimOf = ({ digest }: ImageName): Claim => ({
    image: { repository, digest, mediaType: mediaTypes.ociManifest, size: 100 },
    key: digest,
    copies: 2,
    author: 'peer',
    sinceMs: 0,
    isMirrored: false,
  })
  const told: string[] = []
  const nothing = async () => undefined
  const promises = new Promises({
    self: 'self',
    roster: new Roster({ peer: 'self', room: 10 }, [], 0),
    claims: { of: async (image) => claimOf(image), ofUntagged: nothing, all: async () => [] },
    holdings: {
      look: async () => false,
      isWhole: async () => false,
      bring: ({ digest }) => bring(names.get(digest) ?? ''),
    },
    peers: {
      ask: async (_, { mode, images }) => {
        told.push(`${mode} ${images.map(({ digest }) => names.get(digest))}`)
        return ['held']
      },
    },
    makeDurable: nothing,
    learn: nothing,
    turns: new Semaphore(1),
    onArrived: () => false,
    onFailure: () => undefined,
    onReady: () => 'refused',
    onAhead: () => 'refused',
    onThrough: async () => 'refused',
    wasPulled: async ({ digest }, withinMs) => names.get(digest) === 'slow' && withinMs === 90 * 86_400_000,
    clock,
    signal,
  })
  const hold = async (name: string) => {
    const question: CopyQuestion = {
      mode: 'hold',
      images: [{ repository, digest: digestOf(name) }],
      withinMs: 0,
    }
    return await promises.answer('peer', question, { signal })
  }
  return { hold, told, answer: promises.answer.bind(promises) }
}

it('goes on with an image that comes slowly after others had their turn, and says when it is there', async () => {
  const turns: string[] = []
  const { hold, told } = scene(async (name) => {
    turns.push(name)
    await new Promise((resolve) => setImmediate(resolve))
    return name === 'slow' && turns.length < 4 ? slow : whole
  })
  expect([await hold('slow'), await hold('other')]).toEqual([['coming'], ['coming']])
  await expect.poll(() => told).toEqual(['have other', 'have slow'])
  expect(turns).toEqual(['slow', 'other', 'slow', 'slow'])
})

it('gives up an image that comes slowly for ever', async () => {
  let turns = 0
  const { hold, told } = scene(async () => {
    turns++
    return slow
  })
  await hold('slow')
  await new Promise((resolve) => setImmediate(resolve))
  expect([turns, told]).toEqual([10, []])
})

it('says which images were pulled within the time, for longer than anything is waited for', async () => {
  const { answer } = scene(async () => whole)
  const images = ['slow', 'other'].map((name) => ({ repository, digest: digestOf(name) }))
  const question = { mode: 'pulled' as const, images, withinMs: 90 * 86_400_000 }
  expect(await answer('peer', question, { signal })).toEqual(['held', 'missing'])
})

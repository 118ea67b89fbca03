/** Blobs that a node fetches for others and for itself: how many at once, and what comes of it when something fails. */
import { describe, expect, it } from 'vitest'
import { OriginError } from '../../src/exchange/errors.ts'
import type { Origin } from '../../src/exchange/exchange.ts'
import { BlobFetches, blobDelegation } from '../../src/mirror/blob-fetches.ts'
import { type BlobQuestion, failure } from '../../src/mirror/messages.ts'
import { type Digest, parseRepository } from '../../src/oci/oci.ts'
import { StoreFullError } from '../../src/store/store.ts'
import { UpstreamUnavailableError } from '../../src/upstream/upstream.ts'
import { digestOf, FakeUpstream, upstreamsOf } from './fake-upstream.ts'

const repository = parseRepository('docker.io/library/alpine')
const about = (content: string): BlobQuestion => ({ about: 'blob', repository, digest: digestOf(content) })
const question = about('a blob')
const never = new AbortController().signal

/** Leads that go on until they are told what comes of them. */
function openFetches() {
  const upstream = new FakeUpstream()
  upstream.maxBlobs = 4
  const begun: Digest[] = []
  const ends = new Map<Digest, PromiseWithResolvers<boolean>>()
  const endOf = (digest: Digest): PromiseWithResolvers<boolean> => {
    const end = ends.get(digest) ?? Promise.withResolvers<boolean>()
    ends.set(digest, end)
    return end
  }
  const fetches = new BlobFetches({
    findUpstream: (name) => (name === repository && upstream.isShared ? upstream : undefined),
    fetchFromOrigin: async ({ digest }, _origin, { signal }) => {
      begun.push(digest)
      return await new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
        endOf(digest).promise.then(resolve, reject)
      })
    },
  })
  const answer = (blob: BlobQuestion, signal = never) => fetches.answer(blob, { signal })
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return { upstream, fetches, answer, begun, endOf, turn }
}

describe('blobs that members ask for', () => {
  it('leave two of those that the upstream gives at once to this node itself', async () => {
    const { answer, begun, endOf, turn, fetches } = openFetches()
    const blobs = ['a', 'b', 'c'].map(about)
    const answers = blobs.map((blob) => answer(blob))
    await turn()
    expect(begun).toEqual([blobs[0]?.digest, blobs[1]?.digest])
    expect(await fetches.own(about('d'), async () => true)).toMatchObject({ answer: 'there' })
    for (const blob of blobs) endOf(blob.digest).resolve(true)
    for (const said of await Promise.all(answers)) expect(said.answer).toBe('there')
    expect(begun).toHaveLength(3)
  })

  it('take one place each, however many ask for them, until the last has left', async () => {
    const { answer, begun, turn } = openFetches()
    const leaving = [new AbortController(), new AbortController()]
    const asking = leaving.map(({ signal }) => answer(about('a'), signal))
    for (const one of asking) one.catch(() => undefined)
    for (const name of ['b', 'c']) answer(about(name)).catch(() => undefined)
    await turn()
    expect(begun).toEqual([about('a').digest, about('a').digest, about('b').digest])
    leaving[0]?.abort(new Error('one has left'))
    await turn()
    expect(begun).toHaveLength(3)
    leaving[1]?.abort(new Error('the other has left, too'))
    await turn()
    expect(begun[3]).toBe(about('c').digest)
    for (const one of asking) await expect(one).rejects.toThrow('left')
  })

  it('are refused when too many wait, whoever asks, and not for ever', async () => {
    const { answer, turn } = openFetches()
    const stop = new AbortController()
    for (let number = 0; number < 66; number++) {
      answer(about(`blob ${number}`), stop.signal).catch(() => undefined)
    }
    await turn()
    expect(await answer(about('one more'))).toMatchObject({ answer: 'failed', trouble: 'unable' })
    // Of one that is fetched already it costs nothing more.
    const shared = answer(about('blob 0'), stop.signal)
    shared.catch(() => undefined)
    stop.abort(new Error('they have left'))
    await turn()
    const later = new AbortController()
    const waiting = answer(about('one more'), later.signal)
    later.abort(new Error('it begins'))
    await expect(waiting).rejects.toThrow('it begins')
  })

  it('are not fetched from what is not for everyone', async () => {
    const { upstream, answer, fetches } = openFetches()
    upstream.isShared = false
    expect(await answer(question)).toMatchObject({ trouble: 'unable' })
    expect(await fetches.own(question, async () => true)).toMatchObject({ trouble: 'unable' })
  })

  it('are told to fail as the upstream does', async () => {
    const paused = new UpstreamUnavailableError('docker.io', 'paused', 'answers 429', {
      retryAfterMs: 1500.5,
    })
    for (const [error, said] of [
      [paused, failure('paused', 'answers 429', 1501)],
      [new OriginError(question.digest, 'it ended early'), { trouble: 'unreachable' }],
      [new StoreFullError('the disk is full'), { trouble: 'unable' }],
      [Object.assign(new Error('EIO'), { code: 'EIO', errno: -5 }), { trouble: 'unable' }],
    ] as const) {
      const { answer, endOf } = openFetches()
      endOf(question.digest).reject(error)
      expect(await answer(question)).toMatchObject(said)
    }
  })
})

describe('a blob that a reader here waits for', () => {
  it('fails as this node does where that is the reason', async () => {
    const { fetches } = openFetches()
    const full = new StoreFullError('the disk is full')
    await expect(fetches.own(question, () => Promise.reject(full))).rejects.toBe(full)
  })

  it('comes from the upstream under its name there', async () => {
    const { upstream, fetches } = openFetches()
    const opened: unknown[] = []
    upstream.openBlob = async (...asked: unknown[]) => void opened.push(asked)
    const fetchFromOrigin = async (origin: Origin): Promise<boolean> =>
      (await origin.open(7, { signal: never })) !== undefined
    expect(await fetches.own(question, fetchFromOrigin)).toEqual({ answer: 'absent' })
    expect(opened).toEqual([['library/alpine', question.digest, { start: 7, signal: never }]])
  })

  const delegationOf = (said: Parameters<typeof blobDelegation>[0]['delegates']['fetch']) =>
    blobDelegation({
      upstreams: upstreamsOf(new FakeUpstream('quay.io')),
      words: { wordFor: (name) => (name === 'docker.io' ? 'claim' : undefined) },
      delegates: { fetch: said },
      fetches: openFetches().fetches,
    })
  const ways = {
    signal: never,
    idleMs: () => undefined,
    fetchFromOrigin: async () => true,
  }

  it('has an origin where its repository is one of an upstream that is configured, or that a member reaches', () => {
    const { covers } = delegationOf(async () => ({ answer: 'absent' }))
    const names = ['docker.io/library/alpine', 'quay.io/team/app', 'ghcr.io/team/app', 'team/app', 'app']
    expect(names.filter((name) => covers(parseRepository(name)))).toEqual(names.slice(0, 2))
  })

  it('is there, is not there, or is refused with the reason', async () => {
    expect(await delegationOf(async () => ({ answer: 'absent' })).fetch(question, ways)).toBe(false)
    const paused = failure('paused', 'asks to wait', 60_000)
    await expect(delegationOf(async () => paused).fetch(question, ways)).rejects.toMatchObject({
      code: 'TOOMANYREQUESTS',
      message: 'docker.io asks to wait',
      retryAfterMs: 60_000,
    })
    const wrong = failure('unusable', 'sent other bytes')
    await expect(delegationOf(async () => wrong).fetch(question, ways)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
  })
})

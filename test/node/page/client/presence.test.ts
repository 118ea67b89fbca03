import { describe, expect, it } from 'vitest'
import type { BlobFacts, ImageAnswer } from '../../../../node/page/answers/images.ts'
import type { MemberFacts } from '../../../../node/page/answers/live.ts'
import {
  copiesOf,
  lackingHere,
  lostParts,
  presenceInWords,
  presenceOf,
} from '../../../../node/page/client/presence.ts'

const member = (peer: string, isSelf = false): MemberFacts => ({
  peer,
  isSelf,
  addresses: [],
  sinceMs: 0,
  receivedBytes: 0,
  sentBytes: 0,
  faults: {},
})
const members = [member('a', true), member('b'), member('c')]
const blob = (digest: string, isHere: boolean, holders: string[]): BlobFacts => {
  return { digest, bytes: 1024, mediaType: 'x', isHere, holders }
}

function image(isHere: boolean, holders: string[] | undefined, layers: BlobFacts[]): ImageAnswer {
  return {
    repository: 'team/app',
    digest: 'manifest',
    mediaType: 'x',
    kind: 'image',
    tags: [],
    annotations: {},
    totalBytes: 0,
    platforms: [
      { digest: 'manifest', bytes: 1, content: { config: blob('config', isHere, holders ?? []), layers } },
    ],
    omittedPlatforms: 0,
    referrers: [],
    isHere,
    isEvictable: false,
    isWarmable: false,
    ...(holders === undefined ? {} : { holders }),
  }
}

function said(answer: ImageAnswer, among = members): string {
  return presenceInWords(presenceOf(answer, among) ?? [], (peer) => peer)
}

describe('whether an image is everywhere', () => {
  it('is not known before members were asked', () => {
    expect(presenceOf(image(true, undefined, []), members)).toBeUndefined()
  })

  it('is said for an image that is', () => {
    const answer = image(true, ['b', 'c'], [blob('1', true, ['b', 'c'])])
    expect(said(answer)).toBe('All 3 members hold all of it.')
    expect(lostParts(answer)).toEqual([])
  })

  it('is known of this node in parts and bytes, where manifests tell', () => {
    const here = image(true, ['b'], [blob('1', true, []), blob('2', false, ['b'])])
    expect(lackingHere(here)).toEqual({ parts: 1, bytes: 1024 })
    expect(lackingHere(image(true, undefined, [blob('1', true, [])]))).toEqual({ parts: 0, bytes: 0 })
    expect(lackingHere(image(false, ['b'], []))).toEqual({ parts: 2, bytes: 1024 })
    const untold = { ...here, platforms: [{ digest: 'x', bytes: 1 }] }
    expect(lackingHere(untold)).toBeUndefined()
  })

  it('names who lacks what', () => {
    const answer = image(
      true,
      ['b', 'c'],
      [blob('1', true, ['b']), blob('2', true, ['b']), blob('2', true, ['b'])],
    )
    expect(said(answer)).toBe('a and b hold all of it; c lacks 2.0 KiB of it.')
    expect(presenceOf(answer, members)?.[2]).toEqual({
      peer: 'c',
      missing: 2,
      missingBytes: 2048,
      all: 4,
      platforms: [],
    })
  })

  it('does not miss a platform that nobody there pulled', () => {
    const whole = image(true, ['b', 'c'], [blob('1', true, ['b', 'c'])])
    const [first] = whole.platforms
    const platforms = [
      { ...first, digest: 'amd', bytes: 1, platform: 'linux/amd64' },
      {
        digest: 'arm',
        bytes: 1,
        platform: 'linux/arm64',
        content: { config: blob('other', true, []), layers: [blob('2', true, [])] },
      },
    ]
    const index: ImageAnswer = { ...whole, kind: 'index', platforms }
    expect(said(index)).toBe('a holds all of it; b and c hold linux/amd64 of it, and no other platform.')
    expect(said(index, members.slice(0, 2))).toBe(
      'a holds all of it; b holds linux/amd64 of it, and no other platform.',
    )
  })

  it('says when only one holds it, and when nobody does', () => {
    expect(said(image(true, [], [blob('1', true, [])]))).toBe(
      'Only a holds all of it; 2 members lack some of it.',
    )
    const torn = image(false, ['b'], [blob('1', false, ['c']), blob('2', false, [])])
    expect(said(torn)).toBe('No member holds all of it.')
    expect(lostParts(torn).map(({ digest }) => digest)).toEqual(['2'])
  })

  it('is counted where it is not told which members there are', () => {
    const layer = (isHere: boolean, holders: number): BlobFacts => ({ ...blob('layer', isHere, []), holders })
    expect([copiesOf(layer(true, 2)), copiesOf(layer(false, 0))]).toEqual([3, 0])
    const told = { ...image(true, [], [layer(false, 0)]), holders: 1 }
    expect(presenceOf(told, members)).toBeUndefined()
    expect(lostParts(told).map(({ digest }) => digest)).toEqual(['layer'])
  })

  it('says of a node by itself that there is no second copy', () => {
    expect(said(image(true, [], []), [member('a', true)])).toContain('no second copy')
    expect(said(image(false, [], []), [member('a', true)])).toContain('no other member is connected')
  })
})

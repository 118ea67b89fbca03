import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Digest, digestBytes, parseRepository } from '../../src/oci/oci.ts'
import { ackOf, copiesOf } from '../../src/placement/copy-rule.ts'
import { type Offer, Owners, roomOf } from '../../src/placement/owners.ts'

const digests = Array.from({ length: 4_000 }, (_, at) => digestBytes(Buffer.from(`image ${at}`)))
const some = digests.slice(0, 400)
const offers: Offer[] = Array.from({ length: 8 }, (_, at) => ({ peer: `peer-${at}`, room: 10 }))

const share = (owners: Owners, peer: string, copies: number): number =>
  digests.filter((digest) => owners.rank(digest).slice(0, copies).includes(peer)).length / digests.length

describe('owners', () => {
  it('are the same for every node, whatever the order in which it knows the members', () => {
    const [one, other] = [new Owners(offers), new Owners([...offers].reverse())]
    for (const digest of digests.slice(0, 100)) expect(one.rank(digest)).toEqual(other.rank(digest))
    // What one version reckons, the next has to reckon as well.
    expect(new Owners(offers).rank(digests[0] as Digest).slice(0, 3)).toEqual(['peer-1', 'peer-0', 'peer-3'])
  })

  it('have even shares', () => {
    const owners = new Owners(offers)
    for (const { peer } of offers) expect(share(owners, peer, 2)).toBeCloseTo(0.25, 1)
  })

  it('have shares by the room that they offer', () => {
    const owners = new Owners([{ peer: 'large', room: 12 }, ...offers.slice(0, 4)])
    // Four times the room of each of the four.
    expect(share(owners, 'large', 1)).toBeCloseTo(0.5, 1)
    expect(share(new Owners([...offers, { peer: 'none', room: 0 }]), 'none', 2)).toBe(0)
  })

  it('have at most four times the share of a member in the middle, whatever they say of their room', () => {
    const cluster = fc.integer({ min: 2, max: 20 }).chain((count) =>
      fc.record({
        honest: fc.array(fc.integer({ min: 8, max: 12 }), { minLength: count, maxLength: count }),
        lies: fc.array(fc.integer({ min: 8, max: 40 }), { maxLength: count - 1 }),
      }),
    )
    fc.assert(
      fc.property(cluster, ({ honest, lies }) => {
        const told = [...honest, ...lies].map((room, at) => ({ peer: `peer-${at}`, room }))
        const liars = told.slice(honest.length).map(({ peer }) => peer)
        const owners = new Owners(told)
        const owned = some.filter((digest) => liars.includes(owners.rank(digest)[0] ?? '')).length
        // What the roomiest of the honest says, with four times that for each liar.
        const most = Math.max(...honest)
        const rest = honest.reduce((sum, room) => sum + 2 ** Math.min(room, most), 0)
        const capped = lies.length * 2 ** (most + 2)
        const expected = capped / (capped + rest)
        expect(owned / some.length).toBeLessThanOrEqual(expected + 5 * Math.sqrt(0.25 / some.length))
      }),
      { numRuns: 40 },
    )
    // One of nine that says it has all the room of the world.
    const owners = new Owners([...offers, { peer: 'liar', room: 40 }])
    expect(share(owners, 'liar', 1)).toBeCloseTo(4 / 12, 1)
  })

  it('move their own share alone when one leaves', () => {
    const [before, after] = [new Owners(offers), new Owners(offers.slice(1))]
    for (const digest of digests.slice(0, 500)) {
      const left = before.rank(digest).filter((peer) => peer !== 'peer-0')
      expect(after.rank(digest)).toEqual(left)
    }
  })

  it('are of one site each while there are sites', () => {
    const sites = ['berlin', 'paris', undefined]
    const owners = new Owners(offers.map((offer, at) => ({ ...offer, site: sites[at % 3] })))
    const siteOf = (peer: string) => sites[Number(peer.slice(5)) % 3]
    for (const digest of digests.slice(0, 200)) {
      const ranked = owners.rank(digest).map(siteOf)
      expect(new Set(ranked.slice(0, 3)).size).toBe(3)
      expect(new Set(ranked.slice(3, 6)).size).toBe(3)
    }
  })
})

describe('the room that a member offers', () => {
  it('is told in steps of twice as much', () => {
    expect([roomOf(0), roomOf(2 ** 20), roomOf(2 ** 30), roomOf(2 ** 31)]).toEqual([0, 1, 11, 12])
  })

  it('stays as it was told while little changes', () => {
    const told = roomOf(100 * 2 ** 30)
    expect(roomOf(80 * 2 ** 30, told)).toBe(told)
    expect(roomOf(130 * 2 ** 30, told)).toBe(told)
    expect(roomOf(60 * 2 ** 30, told)).toBe(told - 1)
    expect(roomOf(0, told)).toBe(0)
  })
})

describe('how many copies there are to be', () => {
  const pushed = parseRepository('team/app')
  const mirrored = parseRepository('docker.io/library/alpine')

  it('is two of what was pushed, and one of what is mirrored', () => {
    expect(copiesOf({}, pushed)).toBe(2)
    expect(copiesOf({}, mirrored, { isMirrored: true })).toBe(1)
    expect(ackOf({}, pushed)).toBeUndefined()
  })

  it('is what the policy says', () => {
    expect(copiesOf({ copies: 1 }, pushed)).toBe(1)
    const policy = {
      copies: 1,
      placement: [
        { repositories: 'team/**', copies: 3, ack: 2 },
        { repositories: '**', copies: 4 },
      ],
    }
    expect(copiesOf(policy, pushed)).toBe(3)
    expect(ackOf(policy, pushed)).toBe(2)
    expect(copiesOf(policy, mirrored, { isMirrored: true })).toBe(4)
  })
})

import { describe, expect, it } from 'vitest'
import { checkSite, isHolder, keepNames, SiteShares } from '../../node/site-shares.ts'
import { digestBytes } from '../../src/oci/oci.ts'
import { createRule, KeepRuleError } from '../../src/placement/placement.ts'
import type { MemberEvent } from '../../src/swarm/swarm.ts'

const shared = createRule({ repositories: 'apps/*', isShared: true })
const digests = Array.from({ length: 600 }, (_, at) => digestBytes(Buffer.from(`image ${at}`)))

/** What each of the nodes says is its own, when all know of each other. */
function sharesOf(nodes: string[]) {
  return nodes.map((self) => {
    const members = {
      keeping: (name: string) =>
        name === `berlin/${shared.id}` ? nodes.filter((peer) => peer !== self) : [],
    }
    return digests.filter((digest) => isHolder({ self, site: 'berlin', members }, shared, digest))
  })
}

describe('the shares of a site', () => {
  it('give each image to exactly one node, and to each about as many', () => {
    const shares = sharesOf(['a', 'b', 'c'])
    expect(shares.flat().sort()).toEqual(digests.toSorted())
    for (const share of shares) expect(share.length).toBeGreaterThan(140)
  })

  it('change only for the images of who left', () => {
    const [a = [], b = [], c = []] = sharesOf(['a', 'b', 'c'])
    const [nextA = [], nextB = []] = sharesOf(['a', 'b'])
    expect(a.every((digest) => nextA.includes(digest))).toBe(true)
    expect(b.every((digest) => nextB.includes(digest))).toBe(true)
    expect([...nextA, ...nextB].sort()).toEqual([...a, ...b, ...c].sort())
  })

  it('count once members have come or gone for good, which takes longer for going', async () => {
    const sleeps: { ms: number; wake: () => void }[] = []
    const clock = {
      now: () => 0,
      sleep: (ms: number, { signal }: { signal?: AbortSignal } = {}) =>
        new Promise<void>((resolve, reject) => {
          sleeps.push({ ms, wake: resolve })
          signal?.addEventListener('abort', () => reject(signal.reason))
        }),
    }
    const listeners = new Set<(event: MemberEvent) => void>()
    const members = {
      keeping: () => [],
      onChange(listener: (event: MemberEvent) => void) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    }
    const [digest] = digests
    if (digest === undefined) throw new Error('there are many')
    const shares = new SiteShares({ self: 'a', site: 'berlin', members, clock })
    const told = Promise.withResolvers<void>()
    let count = 0
    shares.onShares(() => {
      count++
      told.resolve()
    })
    expect(shares.isOurs(shared, digest)).toBe(false)
    for (const listener of listeners) listener({ kind: 'leave', peer: 'b' })
    for (const listener of listeners) listener({ kind: 'join', peer: 'b' })
    expect(sleeps.map(({ ms }) => ms)).toEqual([30_000, 30_000, 2_000])
    for (const { wake } of sleeps) wake()
    await told.promise
    expect(count).toBe(1)
    expect(shares.isOurs(shared, digest)).toBe(true)
    for (const listener of listeners) listener({ kind: 'leave', peer: 'b' })
    await shares[Symbol.asyncDispose]()
    expect(listeners.size).toBe(0)
    expect(count).toBe(1)
  })

  it('are named by site and rule, and need a site', () => {
    const own = createRule({ repositories: 'own/*' })
    expect(keepNames('berlin', [own, shared])).toEqual([`berlin/${shared.id}`])
    expect(keepNames(undefined, [shared])).toEqual([])
    expect(() => checkSite(undefined, { isShared: true })).toThrow(KeepRuleError)
    checkSite(undefined, {})
    checkSite('berlin', { isShared: true })
  })
})

import { describe, expect, it } from 'vitest'
import type { MemberFacts } from '../../../../node/page/answers/live.ts'
import type { StorageAnswer } from '../../../../node/page/answers/storage.ts'
import {
  clusterInWords,
  diskInWords,
  evictedInWords,
  freeableInWords,
  movementInWords,
  roomInWords,
  rulesInWords,
  upstreamsInWords,
} from '../../../../node/page/client/words.ts'

const member = (peer: string): MemberFacts => {
  return { peer, isSelf: false, addresses: [], sinceMs: 0, receivedBytes: 0, sentBytes: 0, faults: {} }
}
const nothing = { blobs: 0, manifests: 0, bytes: 0 }
const storage: StorageAnswer = {
  blobs: 3,
  blobBytes: 100,
  partials: 0,
  partialBytes: 0,
  quarantined: 0,
  totalBytes: 2 ** 30,
  freeBytes: 2 ** 29,
  minFreeBytes: 2 ** 28,
  now: nothing,
  later: nothing,
  plan: { groups: [] },
  short: { images: 0, list: [] },
  graceMs: 86_400_000,
  collectEveryMs: 0,
  measuredMs: 0,
}

describe('the page says', () => {
  it('what went of a copy, and what stayed as other images need it', () => {
    expect(evictedInWords({ blobs: 2, bytes: 2048, shared: 0 })).toBe('Freed 2.0 KiB, 2 blobs.')
    expect(evictedInWords({ blobs: 0, bytes: 0, shared: 1 })).toBe(
      'Nothing was freed. Other images here need 1 blob of it.',
    )
  })

  it('how full a member’s disk is, and what of it the member may fill', () => {
    expect(diskInWords({ free: 2 ** 30, total: 2 ** 31 })).toBe('1.0 GiB of 2.0 GiB free')
    expect(diskInWords({ free: 2 ** 30, total: 2 ** 31, filled: 2 ** 20, limit: 2 ** 21 })).toBe(
      '1.0 GiB of 2.0 GiB free; 1.0 MiB of the 2.0 MiB that it may fill are filled',
    )
  })

  it('who is connected and who is lost', () => {
    const nameOf = (peer: string) => peer
    expect(clusterInWords({ members: [member('a')], lost: [] }, nameOf)).toBe('This node is by itself.')
    expect(clusterInWords({ members: [member('a'), member('b')], lost: [] }, nameOf)).toBe(
      '2 members, all connected.',
    )
    expect(clusterInWords({ members: [member('a')], lost: [member('b'), member('c')] }, nameOf)).toBe(
      'This node is by itself; b and c are out of reach.',
    )
    expect(clusterInWords({ members: [member('a'), member('b')], lost: [member('c')] }, nameOf)).toBe(
      '2 members connected; c is out of reach.',
    )
  })

  it('what moves', () => {
    expect(movementInWords({ transfers: [], flows: [] })).toBe('Nothing moves right now.')
    const flows = [{ from: 'a', to: 'b', bytesPerSecond: 2 ** 20 }]
    expect(movementInWords({ transfers: [], flows })).toBe('1.0 MiB/s between members.')
    const transfers = [{ to: 'a', digest: '', heldBytes: 0, pieces: 1, held: 0, peers: 1, bytesPerSecond: 0 }]
    expect(movementInWords({ transfers, flows })).toBe('1 blob is on the way, 1.0 MiB/s in all.')
  })

  it('what can be freed, and what room there is', () => {
    const some = { blobs: 2, manifests: 1, bytes: 4096 }
    expect(freeableInWords(storage)).toBe('Everything that is stored here is in use.')
    expect(freeableInWords({ ...storage, now: some, later: some })).toBe(
      '4.0 KiB can be freed now: 2 blobs and 1 manifest that nothing refers to.',
    )
    expect(freeableInWords({ ...storage, later: some })).toBe(
      'Nothing can be freed now; 4.0 KiB that nothing refers to can go 1 day after the last use.',
    )
    expect(roomInWords({ ...storage, freeBytes: 2 ** 27 })).toContain('free something')
  })

  it('whether what is to be kept is here', () => {
    const rule = { id: '1', repositories: 'team/**', images: 3, complete: 3, missingBytes: 0, missing: [] }
    expect(rulesInWords([])).toContain('keeps nothing')
    expect(rulesInWords([{ ...rule, images: 0, complete: 0 }])).toBe(
      '1 rule, and no image that they match yet.',
    )
    expect(rulesInWords([rule])).toBe('Everything that is to be kept here is here: 3 images.')
    expect(rulesInWords([{ ...rule, complete: 1, missingBytes: 1024 }])).toBe(
      '1 of 3 images are complete; 1.0 KiB are missing, as far as is known.',
    )
  })

  it('how the upstreams are', () => {
    const upstream = { name: 'docker.io', url: '', manifestRequests: 0, blobRequests: 0, receivedBytes: 0 }
    expect(upstreamsInWords([], 0)).toContain('no registry outside')
    expect(upstreamsInWords([upstream], 0)).toBe('No upstream was asked yet.')
    expect(upstreamsInWords([{ ...upstream, reachable: true }], 0)).toContain('has answered')
    expect(upstreamsInWords([{ ...upstream, pausedUntilMs: 5 }], 0)).toBe('docker.io asked to wait.')
    expect(upstreamsInWords([{ ...upstream, reachable: false }], 0)).toContain('docker.io cannot be reached')
  })
})

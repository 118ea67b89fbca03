import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { NodeStatus } from '../../../node/operations/status.ts'
import { ratesBetween, renderStatus } from '../../../node/screen/status-screen.ts'
import { digestBytes, parseRepository } from '../../../src/oci/oci.ts'

const startedMs = Date.parse('2030-01-01T00:00:00Z')
const screen = { columns: 80, rows: 24 }

const round = { startedMs, position: '74', blobs: 4, manifests: 2, bytes: 1000, corrupt: 0, unread: 0 }

function status(changes: Partial<NodeStatus> = {}): NodeStatus {
  return {
    nowMs: startedMs + 90_061_000,
    version: '1.2.3',
    data: '/var/lib/shoal',
    peer: `12D3KooW${'x'.repeat(44)}`,
    name: 'host-a',
    running: {
      pid: 4711,
      startedMs,
      http: '127.0.0.1:5000',
      scheme: 'http',
      p2p: ['/ip4/192.0.2.1/tcp/5001/p2p/12D3', '/ip6/2001:db8::1/tcp/5001/p2p/12D3'],
    },
    cluster: {
      id: '0123456789ab',
      holdsAuthority: true,
      authority: { governs: 'one' },
      records: 1234,
      members: [],
    },
    disk: {
      blobs: 10,
      blobBytes: 3 * 2 ** 30,
      partials: 1,
      partialBytes: 2 ** 20,
      quarantined: 2,
      measuredMs: startedMs,
      totalBytes: 2 ** 40,
      freeBytes: 2 ** 39,
      minFreeBytes: 2 ** 28,
    },
    scrub: { round, done: 0.4567, periodMs: 30 * 86_400_000 },
    transfers: [],
    traffic: { receivedBytes: 1000, sentBytes: 0 },
    upstreams: [],
    keepRules: 0,
    short: { images: 0, list: [] },
    problems: [],
    database: [],
    ...changes,
  }
}

function transfers(count: number, heldBytes: number): NodeStatus['transfers'] {
  return Array.from({ length: count }, (_, index) => ({
    digest: digestBytes(Buffer.from(String(index))),
    repository: parseRepository(`team/${'a'.repeat(100)}`),
    bytes: 2 ** 30,
    heldBytes,
    peers: 3,
  }))
}

const lines = (text: string) => stripVTControlCharacters(text).trimEnd().split('\n')

describe('the status on a screen', () => {
  it('names the members that are away', () => {
    const { cluster } = status()
    const away = ['host-b', 'host-c', 'host-d\u001b[2J', 'host-e', 'host-f']
    const text = stripVTControlCharacters(
      renderStatus(status({ cluster: { ...cluster, away } }), undefined, { columns: 120, rows: 24 }),
    )
    expect(text).toMatch(/^Away +host-b, host-c, host-d.* and 2 more; shoal doctor says why$/m)
    expect(stripVTControlCharacters(renderStatus(status(), undefined, screen))).not.toContain('Away')
  })

  it('says on one line how full a node with a limit is', () => {
    const { disk } = status()
    const limited = status({
      disk: {
        ...disk,
        partials: 0,
        limit: {
          filledBytes: 900 * 2 ** 30,
          maxBytes: 999 * 2 ** 30,
          highBytes: 0,
          lowBytes: 0,
          isStuck: false,
        },
      },
    })
    expect(lines(renderStatus(limited, undefined, screen))).toContain(
      'Disk      3.0 GiB in 10 blobs, 900 GiB of 999 GiB filled, 512 GiB free',
    )
  })

  it('says who the node is, where it is reached, and how it is', () => {
    expect(lines(renderStatus(status(), undefined, screen))).toEqual([
      'Node      host-a',
      'Running   shoal 1.2.3, up 1 d 1 h, process 4711',
      'Data      /var/lib/shoal',
      'Registry  http://127.0.0.1:5000',
      'Peers at  /ip4/192.0.2.1/tcp/5001 and 1 other address',
      'Cluster   0123456789ab, no member connected, 1234 records, authority here',
      'Disk      3.0 GiB in 10 blobs, 512 GiB of 1.0 TiB free, 1.0 MiB unfinished',
      'Scrub     45 % of a round of 30 d, not all was read yet',
      'Moved     1000 B from members, 0 B to them',
    ])
  })

  it('says how upstreams are, and that there are keep rules', () => {
    const upstream = {
      url: 'https://registry.example',
      reachable: true,
      isShared: true,
      manifestRequests: 0,
      blobRequests: 0,
      receivedBytes: 0,
    }
    const upstreams = [
      { ...upstream, name: 'docker.io', remaining: 12 },
      { ...upstream, name: 'quay.io', reachable: false },
      { ...upstream, name: 'ghcr.io', pausedUntilMs: startedMs },
    ]
    const shown = lines(renderStatus(status({ upstreams, keepRules: 2 }), undefined, screen))
    expect(shown.slice(-2)).toEqual([
      'Upstream  docker.io (12 requests left), quay.io away, ghcr.io paused',
      'Keeps     by 2 rules, see shoal keep ls',
    ])
  })

  it('says what the scrub found, when it read all, and that it is off', () => {
    const last = { ...round, endedMs: startedMs + 3_661_000, corrupt: 1 }
    const scrub = { round: { ...round, corrupt: 2, unread: 1 }, last, done: 0.999, periodMs: 86_400_000 }
    expect(lines(renderStatus(status({ scrub }), undefined, screen))).toContain(
      'Scrub     99 % of a round of 1 d, all was read 1 d ago, 3 wrong, 1 not readable',
    )
    const off = { round, done: 0, periodMs: 0 }
    expect(lines(renderStatus(status({ scrub: off }), undefined, screen))).toContain(
      'Scrub     off, start the node with --scrub 30d',
    )
  })

  it('says how to start a node that does not run', () => {
    const { running: _, ...stopped } = status()
    expect(renderStatus(stopped, undefined, screen)).toContain('start it with shoal serve')
  })

  it('fits, however much moves and however much is wrong', () => {
    const busy = status({
      transfers: transfers(500, 2 ** 29),
      problems: [`a problem ${'of many words '.repeat(12)}`, 'and another one'],
    })
    const shown = lines(renderStatus(busy, undefined, screen))
    expect(shown.length).toBeLessThanOrEqual(23)
    expect(Math.max(...shown.map((line) => line.length))).toBeLessThanOrEqual(80)
    expect(shown).toContain('  and 492 more')
    expect(shown.at(-1)).toBe('Problem   and another one')
  })

  it('shows rates from what changed between two looks', () => {
    const before = status({ transfers: transfers(1, 0) })
    const after = status({
      nowMs: before.nowMs + 2000,
      transfers: transfers(1, 2 ** 29),
      traffic: { receivedBytes: 1000 + 2 ** 21, sentBytes: 0 },
    })
    const text = stripVTControlCharacters(renderStatus(after, ratesBetween(before, after), screen))
    expect(text).toContain('(1.0 MiB/s) from members')
    expect(text).toMatch(/\[#{8}-{8}\] 50% {2}sha256:\w{12} {2}1\.0 GiB {2}256 MiB\/s {2}3 peers/)
  })

  it('has no rates over no time, and none below zero after a restart', () => {
    const before = status({ traffic: { receivedBytes: 5000, sentBytes: 5000 } })
    expect(ratesBetween(before, before)).toBeUndefined()
    const after = status({ nowMs: before.nowMs + 1000, traffic: { receivedBytes: 0, sentBytes: 0 } })
    expect(ratesBetween(before, after)).toMatchObject({ received: 0, sent: 0 })
  })

  it('obeys nothing that a problem says', () => {
    expect(renderStatus(status({ problems: ['\u001b[2Jgone'] }), undefined, screen)).toContain('?[2Jgone')
  })
})

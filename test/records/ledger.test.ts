import { describe, expect, it } from 'vitest'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import type { ChangedKey } from '../../src/records/records.ts'
import {
  alice,
  bob,
  digestOf,
  fingerprintsOf,
  ManualClock,
  manifestChange,
  manifestDeletion,
  mediaType,
  recordsOf,
  tagChange,
  testLedger,
} from './fixture.ts'

const app = parseRepository('team/app')
const v1 = parseTag('v1')
const page = { limit: 100 }

describe('what is published', () => {
  it('is found with its time and author, and after the ledger was closed', async () => {
    await using node = await testLedger()
    await node.ledger.publish([tagChange('team/app', 'v1', 'one'), manifestChange('team/app', 'one')])
    await node.reopen()
    const written = { writtenMs: 1_800_000_000_000, author: alice.peerId }
    expect(await node.ledger.findTag(app, v1)).toEqual({
      digest: digestOf('one'),
      mediaType,
      size: 3,
      ...written,
    })
    expect(await node.ledger.findManifest(app, digestOf('one'))).toEqual({
      digest: digestOf('one'),
      mediaType,
      size: 7,
      ...written,
    })
  })

  it('replaces what stands even when the clock has not moved, or moved back', async () => {
    const clock = new ManualClock()
    await using node = await testLedger({ clock })
    await node.ledger.publish([tagChange('team/app', 'v1', 'one')])
    await node.ledger.publish([tagChange('team/app', 'v1', 'two')])
    expect((await node.ledger.findTag(app, v1))?.digest).toBe(digestOf('two'))
    clock.ms -= 60_000
    await node.ledger.publish([tagChange('team/app', 'v1', 'three')])
    expect((await node.ledger.findTag(app, v1))?.digest).toBe(digestOf('three'))
  })

  it('is gone once deleted, and can be published again', async () => {
    await using node = await testLedger()
    const { ledger } = node
    await ledger.publish([tagChange('team/app', 'v1', 'one')])
    await ledger.publish([tagChange('team/app', 'v1', undefined)])
    expect(await ledger.findTag(app, v1)).toBeUndefined()
    expect(await ledger.listTags(app, page)).toEqual([])
    await ledger.publish([tagChange('team/app', 'v1', 'two')])
    expect((await ledger.findTag(app, v1))?.digest).toBe(digestOf('two'))
  })

  it('is all of the changes or none', async () => {
    await using node = await testLedger()
    const annotations = { large: 'x'.repeat(70_000) }
    const changes = [tagChange('team/app', 'v1', 'one'), manifestChange('team/app', 'one', { annotations })]
    await expect(node.ledger.publish(changes)).rejects.toMatchObject({ code: 'RECORD_TOO_LARGE' })
    expect(await node.ledger.findTag(app, v1)).toBeUndefined()
  })

  it('is told to listeners until they unsubscribe', async () => {
    await using node = await testLedger()
    const told: ChangedKey[][] = []
    const stop = node.ledger.onChange((keys) => told.push(keys))
    await node.ledger.publish([tagChange('team/app', 'v1', 'one')])
    await node.ledger.publish([tagChange('team/app', 'v1', undefined)])
    stop()
    await node.ledger.publish([tagChange('team/app', 'v1', 'two')])
    const key = { kind: 'tag', repository: app, tag: v1 }
    expect(told).toEqual([[{ ...key, deleted: false }], [{ ...key, deleted: true }]])
  })
})

describe('listing', () => {
  it('gives tags in byte order, in pages', async () => {
    await using node = await testLedger()
    const tags = ['b', 'B', '1.0', 'a', 'a-1', 'a.1', '_x']
    await node.ledger.publish(tags.map((tag) => tagChange('team/app', tag, tag)))
    await node.ledger.publish([tagChange('team/app2', 'other', 'x'), tagChange('team', 'other', 'x')])
    const sorted = [...tags].sort()
    expect(await node.ledger.listTags(app, page)).toEqual(sorted)
    expect(await node.ledger.listTags(app, { limit: 2 })).toEqual(sorted.slice(0, 2))
    expect(await node.ledger.listTags(app, { after: sorted[1] ?? '', limit: 3 })).toEqual(sorted.slice(2, 5))
    expect(await node.ledger.listTags(app, { after: 'zzz', limit: 3 })).toEqual([])
    expect(await node.ledger.listTags(app, { after: '\u{1F600}', limit: 3 })).toEqual([])
    expect(await node.ledger.listTags(app, { limit: 0 })).toEqual([])
  })

  it('gives the repositories that have a live manifest', async () => {
    await using node = await testLedger()
    const { ledger } = node
    await ledger.publish([manifestChange('b', '1'), manifestChange('b', '2'), manifestChange('a/c', '1')])
    await ledger.publish([manifestChange('a-c', '1'), manifestChange('a', '1'), manifestDeletion('b', '1')])
    await ledger.publish([manifestChange('b', '2', { artifactType: 'again' })])
    expect(await ledger.listRepositories(page)).toEqual(['a', 'a-c', 'a/c', 'b'])
    expect(await ledger.listRepositories({ after: 'a-c', limit: 1 })).toEqual(['a/c'])
    expect(await ledger.hasRepository(parseRepository('b'))).toBe(true)
    await ledger.publish([manifestDeletion('b', '2')])
    expect(await ledger.hasRepository(parseRepository('b'))).toBe(false)
    expect(await ledger.listRepositories(page)).toEqual(['a', 'a-c', 'a/c'])
  })

  it('gives manifests, and the referrers of one, in order of digest', async () => {
    await using node = await testLedger()
    const { ledger } = node
    const subject = digestOf('image')
    const annotations = { 'org.example': 'yes', ['__proto__']: 'kept' }
    await ledger.publish([
      manifestChange('team/app', 'image'),
      ...['sbom', 'signature', 'gone'].map((content) =>
        manifestChange('team/app', content, { subject, artifactType: `application/${content}`, annotations }),
      ),
      manifestChange('team/other', 'sbom', { subject }),
    ])
    await ledger.publish([manifestDeletion('team/app', 'gone')])
    const referrers = await ledger.listReferrers(app, subject, page)
    expect(referrers.map(({ digest }) => digest)).toEqual([digestOf('sbom'), digestOf('signature')].sort())
    expect(referrers[0]?.annotations).toEqual(annotations)
    const all = await ledger.listManifests(app, page)
    expect(all.map(({ digest }) => digest)).toEqual(['image', 'sbom', 'signature'].map(digestOf).sort())
    const after = all[0]?.digest ?? ''
    expect((await ledger.listManifests(app, { after, limit: 1 }))[0]?.digest).toBe(all[1]?.digest)
  })

  it('gives the tags of a digest', async () => {
    await using node = await testLedger()
    const { ledger } = node
    await ledger.publish(['a', 'b', 'c'].map((tag) => tagChange('team/app', tag, 'one')))
    await ledger.publish([tagChange('team/app', 'b', 'two'), tagChange('team/app', 'c', undefined)])
    expect(await ledger.tagsOf(app, digestOf('one'))).toEqual(['a'])
    expect(await ledger.tagsOf(app, digestOf('two'))).toEqual(['b'])
    await ledger.publish(['d', 'e', 'f'].map((tag) => tagChange('team/app', tag, 'one')))
    expect(await ledger.tagsOf(app, digestOf('one'), { limit: 2 })).toEqual(['a', 'd'])
  })
})

describe('records from a peer', () => {
  it('make the same tags, in any order and however often they come', async () => {
    await using node = await testLedger()
    await using peer = await testLedger({ identity: bob })
    const records = await recordsOf(peer.ledger, async () => {
      await peer.ledger.publish([tagChange('team/app', 'v1', 'one'), manifestChange('team/app', 'one')])
      await peer.ledger.publish([tagChange('team/app', 'v1', 'two')])
    })
    expect(await node.ledger.apply(records.toReversed())).toMatchObject({ applied: 2, known: 1, refused: {} })
    expect(await node.ledger.apply(records)).toMatchObject({ applied: 0, known: 3, refused: {} })
    expect(await node.ledger.findTag(app, v1)).toEqual(await peer.ledger.findTag(app, v1))
    expect((await node.ledger.findTag(app, v1))?.author).toBe(bob.peerId)
    const [mine, theirs] = [await fingerprintsOf(node.ledger), await fingerprintsOf(peer.ledger)]
    expect(mine.of('')).toEqual(theirs.of(''))
    expect(mine.total).toBe(2)
  })

  it('have the same fingerprint after the ledger was opened again', async () => {
    await using node = await testLedger()
    await node.ledger.publish(
      Array.from({ length: 300 }, (_, i) => tagChange('team/app', `t${i}`, `${i % 7}`)),
    )
    await node.ledger.publish([tagChange('team/app', 't5', undefined)])
    const before = (await fingerprintsOf(node.ledger)).of('')
    await node.reopen()
    expect((await fingerprintsOf(node.ledger)).of('')).toEqual(before)
  })
})

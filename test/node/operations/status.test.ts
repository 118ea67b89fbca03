import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { showStatus } from '../../../node/operations/status.ts'
import { makeImage } from '../../e2e/image.ts'
import { type OperatedNode, openOperatedNode } from './fixture.ts'

describe('the status of a node', () => {
  let operated: OperatedNode
  beforeEach(async () => {
    operated = await openOperatedNode(['--min-free', '1MiB'])
  })
  afterEach(async () => await operated[Symbol.asyncDispose]())

  it('is known without a running node', async () => {
    const status = await operated.perform('status', {})
    expect(status).toMatchObject({
      data: operated.data,
      peer: expect.stringMatching(/^12D3KooW/),
      cluster: {
        id: expect.stringMatching(/^[0-9a-f]{12}$/),
        holdsAuthority: true,
        authority: { governs: expect.stringMatching(/^12D3/) },
        records: 0,
        members: [],
      },
      transfers: [],
      traffic: { receivedBytes: 0, sentBytes: 0 },
      problems: [],
      database: [],
      scrub: { done: 0, periodMs: 30 * 24 * 3_600_000, round: { blobs: 0, corrupt: 0 } },
    })
    expect(status.running).toBeUndefined()
  })

  it('says that the database dropped what was damaged', async () => {
    const node = { ...operated.node, dropped: ['dropping 7 bytes; Corruption'] }
    const { problems } = await showStatus({ ...operated, node }, {}, () => undefined, {
      signal: AbortSignal.timeout(30_000),
    })
    expect(problems).toEqual([expect.stringContaining('dropping 7 bytes')])
  })

  it('says how many records this version cannot read', async () => {
    vi.spyOn(operated.node.names, 'unreadable').mockReturnValue(2)
    const { problems, database } = await operated.perform('status', {})
    expect(problems).toEqual(database)
    expect(database).toEqual([expect.stringMatching(/^2 records .* count as missing/)])
  })

  it('counts what is stored, and the records that say so', async () => {
    const image = makeImage({ seed: 'status', layerBytes: [1000, 2000] })
    await operated.push('team/app', '1', image)
    const blobs = [image.config, ...image.layers]
    const { disk, cluster } = await operated.perform('status', {})
    expect(disk).toMatchObject({
      blobs: blobs.length,
      blobBytes: blobs.reduce((sum, { bytes }) => sum + bytes.length, 0),
      partials: 0,
      quarantined: 0,
      minFreeBytes: 2 ** 20,
    })
    expect(disk.freeBytes).toBeLessThanOrEqual(disk.totalBytes)
    expect(cluster.records).toBe(2)
  })
})

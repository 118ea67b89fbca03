import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { describeUse } from '../../../node/commands/du.ts'
import { listing } from '../../../node/commands/ls.ts'
import { parseDigest } from '../../../src/oci/oci.ts'
import { makeImage } from '../../e2e/image.ts'
import { type OperatedNode, openOperatedNode } from './fixture.ts'

const image = makeImage({ seed: 'listed', layerBytes: [10_000, 20_000] })
const layers = image.layers.reduce((sum, { bytes }) => sum + bytes.length, image.config.bytes.length)

let operated: OperatedNode
beforeEach(async () => {
  operated = await openOperatedNode()
  await operated.push('team/app', '1', image)
})
afterEach(async () => await operated[Symbol.asyncDispose]())

const columns = (text: string): string[][] =>
  text.split('\n').map((line) => line.split(/ {2,}/).map((cell) => cell.trim()))

describe('a list of tags', () => {
  it('says how large the image is, what of it is here, and when it was last read', async () => {
    const list = async () => (await operated.perform('ls', { repository: 'team/app', details: true })).rows
    const [before] = await list()
    expect(before).toMatchObject({
      name: '1',
      bytes: layers + image.manifest.bytes.length,
      hereBytes: layers + image.manifest.bytes.length,
    })
    expect(before?.unusedMs).toBeUndefined()
    const blob = await operated.node.store.blobs.open(parseDigest(image.config.descriptor.digest))
    if (blob === undefined) throw new Error('it is here')
    await Array.fromAsync(blob.chunks(0, blob.size))
    await blob[Symbol.asyncDispose]()
    const rows = await list()
    expect(rows[0]?.unusedMs).toBeGreaterThanOrEqual(0)
    const [head, row] = columns(listing(rows, { ofTags: true }))
    expect(head).toEqual(['TAG', 'DIGEST', 'SIZE', 'HERE', 'LAST READ', 'SET (UTC)'])
    expect(row?.slice(2)).toEqual([
      expect.stringMatching(/^3\d\.\d KiB$/),
      expect.stringMatching(/^\d\d\.\d KiB$/),
      expect.stringMatching(/^\d s ago$/),
      expect.stringMatching(/^\d{4}-\d\d-\d\d [\d:]{8}$/),
    ])
  })

  it('is an error for a repository that nobody has heard of', async () => {
    await expect(operated.perform('ls', { repository: 'nope', details: true })).rejects.toMatchObject({
      code: 'NAME_UNKNOWN',
      message: expect.stringContaining('nope'),
    })
  })
})

it('a list of repositories counts their tags', async () => {
  await operated.push('team/app', '2', image)
  const { rows } = await operated.perform('ls', { details: true })
  expect(columns(listing(rows, { ofTags: false }))).toEqual([['REPOSITORY', 'TAGS'], ['team/app', '2'], ['']])
})

it('says what fills the disk by repository, and what of it no other has', async () => {
  const other = makeImage({ seed: 'alone', layerBytes: [50_000] })
  await operated.push('team/copy', '1', image)
  await operated.push('team/alone', '1', other)
  const use = await operated.perform('du', {})
  expect(use.repositories.map(({ repository }) => repository)).toEqual(
    expect.arrayContaining(['team/app', 'team/copy', 'team/alone']),
  )
  const found = Object.fromEntries(use.repositories.map((row) => [row.repository, row]))
  expect(found['team/app']).toMatchObject({ blobs: 3, bytes: layers, ownBytes: 0 })
  expect(found['team/alone']?.ownBytes).toBe(found['team/alone']?.bytes)
  expect(use.bytes).toBe(layers + (found['team/alone']?.bytes ?? 0))
  expect(describeUse(use)).toMatch(/^5 blobs, .*\nREPOSITORY +SIZE +ALONE +BLOBS\n/)
})

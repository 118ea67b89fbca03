import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DiskMeter } from '../../node/disk-usage.ts'
import { digestBytes } from '../../src/oci/oci.ts'
import { openScratchFolder, type ScratchFolder } from '../e2e/scratch-folder.ts'

const digest = digestBytes(Buffer.from('a blob'))

describe('the disk meter', () => {
  let folder: ScratchFolder
  let nowMs = 0
  let walks = 0
  let costMs = 0
  let failure: Error | undefined

  beforeEach(async () => {
    folder = await openScratchFolder()
    await mkdir(join(folder.path, 'quarantine'))
    nowMs = 1_000_000
    walks = 0
    costMs = 0
    failure = undefined
  })
  afterEach(async () => await folder[Symbol.asyncDispose]())

  function openMeter(): DiskMeter {
    const blobs = {
      async *list({ signal }: { signal: AbortSignal }) {
        signal.throwIfAborted()
        walks++
        nowMs += costMs
        if (failure !== undefined) throw failure
        yield { digest, size: walks }
      },
    }
    const store = { blobs, partials: { list: async () => [] }, room: { status: () => ({}) } }
    const clock = { now: () => nowMs, sleep: () => Promise.reject(new Error('it never sleeps')) }
    return new DiskMeter({
      directory: folder.path,
      store: store as unknown as ConstructorParameters<typeof DiskMeter>[0]['store'],
      minFreeBytes: 0,
      clock,
    })
  }

  it('walks once for all who ask at once', async () => {
    const meter = openMeter()
    const all = await Promise.all([meter.measure(), meter.measure(), meter.measure()])
    expect(all.map(({ blobBytes }) => blobBytes)).toEqual([1, 1, 1])
    expect(walks).toBe(1)
  })

  it('walks again once ten times what the last walk took have passed', async () => {
    const meter = openMeter()
    costMs = 500
    await meter.measure()
    nowMs += 4_999
    expect((await meter.measure()).blobBytes).toBe(1)
    nowMs += 1
    expect((await meter.measure()).blobBytes).toBe(2)
  })

  it('gives who may have an older walk one of up to a hundred times what it took', async () => {
    const meter = openMeter()
    costMs = 500
    await meter.measure()
    nowMs += 49_999
    expect((await meter.measure({ mayBeOld: true })).blobBytes).toBe(1)
    nowMs += 1
    expect((await meter.measure({ mayBeOld: true })).blobBytes).toBe(2)
    nowMs += 5_000
    expect((await meter.measure()).blobBytes).toBe(3)
  })

  it('ends its walk when the node stops', async () => {
    const meter = openMeter()
    meter[Symbol.dispose]()
    await expect(meter.measure()).rejects.toMatchObject({ code: 'CLOSING' })
  })

  it('does not remember a walk that failed for longer than a moment', async () => {
    const meter = openMeter()
    failure = new Error('the disk is gone')
    await expect(meter.measure()).rejects.toThrow('the disk is gone')
    failure = undefined
    nowMs += 1_000
    expect((await meter.measure()).blobs).toBe(1)
  })
})

/** SIGTERM: what is under way is finished, and what would take too long is cut so that nobody takes it for whole. */
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { openClient, startUpload, withDigest } from './client.ts'
import { holdPull } from './held-pull.ts'
import { expectOrderlyStop, largeBlob, largeBlobPath, pushLargeBlob, stopMs } from './orderly-stop.ts'
import { startDaemon } from './process.ts'
import { freePorts, openRegistry } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder } from './scratch-folder.ts'

const checkout = path.join(import.meta.dirname, '../..')

describe('a node that is told to stop', requires('shoal'), () => {
  test('finishes the pulls under way', async () => {
    await using registry = await openRegistry()
    await expectOrderlyStop(registry.port, () => registry.stop())
  })

  test('stops with the npm that started it', requires('npm'), async () => {
    await using folder = await openScratchFolder()
    const [http, p2p] = await freePorts(2)
    const flags = ['--http', `127.0.0.1:${http}`, '--p2p', `127.0.0.1:${p2p}`, '--data', folder.at('data')]
    const options = { cwd: checkout, ready: /^shoal is ready/m }
    await using npm = await startDaemon('npm start', 'npm', ['start', '--', '--no-mdns', ...flags], options)
    await npm.end('SIGTERM')
    expect(npm.output()).toContain('"msg":"stopping"')
  })

  test('cuts a pull and a push that would take longer, and goes on with the push after its start', async () => {
    await using registry = await openRegistry()
    using client = openClient(registry.port)
    await pushLargeBlob(client)
    const pull = await holdPull(registry.port, largeBlobPath)
    const location = await startUpload(client, 'stop/push')
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const push = client.ask('PATCH', location, { body: halted(begun.resolve, released) })
    await begun.promise

    const begunMs = performance.now()
    const [code] = await Promise.all([registry.stop(), expect(push).rejects.toThrow()])
    release()
    expect([code, performance.now() - begunMs < stopMs]).toEqual([0, true])
    const { bytes, complete } = await pull.finish()
    expect([complete, bytes < pull.contentLength]).toEqual([false, true])

    await registry.start()
    using later = openClient(registry.port)
    const { headers } = await later.ask('GET', location)
    const kept = Number(/^0-(\d+)$/.exec(String(headers.range))?.[1]) + 1
    const put = await later.ask('PUT', withDigest(location, largeBlob.descriptor.digest), {
      body: largeBlob.bytes.subarray(kept),
    })
    expect([put.status, kept > 1]).toEqual([201, true])
  })
})

/** The first half of the blob, and then nothing until it is released. */
async function* halted(onHalf: () => void, released: Promise<void>): AsyncGenerator<Uint8Array> {
  yield largeBlob.bytes.subarray(0, largeBlob.bytes.length / 2)
  onHalf()
  await released
}

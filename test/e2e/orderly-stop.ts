/** How a node has to stop, however it was installed: in time, in order, with a pull under way brought to its end. */
import { connect } from 'node:net'
import { expect } from 'vitest'
import { until } from '../swarm/fixture.ts'
import { type Client, openClient, pushBlob } from './client.ts'
import { holdPull } from './held-pull.ts'
import { type Content, content, seededBytes } from './image.ts'

/** What supervisors give a service before they kill it. */
export const stopMs = 10_000

/** Larger than what the sockets of both sides hold. */
export const largeBlob: Content = content('application/octet-stream', seededBytes('orderly stop', 32_000_000))

export const largeBlobPath = `/v2/stop/app/blobs/${largeBlob.descriptor.digest}`

/** `stop` sends SIGTERM and resolves with the exit code when the process is gone. */
export async function expectOrderlyStop(port: number, stop: () => Promise<number | null>): Promise<void> {
  using client = openClient(port)
  await pushLargeBlob(client)
  const pull = await holdPull(port, largeBlobPath)
  const begunMs = performance.now()
  const stopped = stop()
  await until('the port to be closed', async () => !(await isOpen(port)))
  expect(await pull.finish()).toEqual({
    digest: largeBlob.descriptor.digest,
    bytes: pull.contentLength,
    complete: true,
  })
  expect(await stopped).toBe(0)
  expect(performance.now() - begunMs).toBeLessThan(stopMs)
}

export async function pushLargeBlob(client: Client): Promise<void> {
  await pushBlob(client, 'stop/app', largeBlob)
}

export function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => socket.destroy()).once('close', (failed) => resolve(!failed))
    socket.once('error', () => socket.destroy())
  })
}

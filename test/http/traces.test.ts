/** What a tracer is told of requests. */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { expect, it } from 'vitest'
import type { Deleted, Pulled, Pushed, Stage, Trace, Tracer } from '../../src/base/base.ts'
import { mediaTypes } from '../../src/oci/oci.ts'
import { openApi } from './harness.ts'

interface Told {
  account?: string
  stages: Stage[]
  pull?: Pulled
  push?: Pushed
  deletion?: Deleted
  end?: { route: string; status: number; error: unknown }
}

/** Remembers what was told of each request. */
function listen() {
  const ended: Told[] = []
  let started = 0
  let change = Promise.withResolvers<void>()
  const start = (): Trace => {
    const told: Told = { stages: [] }
    started++
    return {
      startMs: Date.now(),
      stage: (stage) => told.stages.push(stage),
      pulled: (pull) => {
        told.pull = pull
      },
      pushed: (push) => {
        told.push = push
      },
      deleted: (deletion) => {
        told.deletion = deletion
      },
      signedIn: (account) => {
        told.account = account
      },
      end(route, status, error) {
        told.end = { route, status, error }
        ended.push(told)
        change.resolve()
        change = Promise.withResolvers()
      },
    }
  }
  const tracer: Tracer = { start }
  return {
    tracer,
    /** Of the last request, once it is over: its client may have the answer a little earlier. */
    async last(): Promise<Told> {
      while (ended.length < started) await change.promise
      return ended.at(-1) ?? expect.fail('there was no request')
    },
  }
}

it('tells of a blob what the client got of it', async () => {
  const told = listen()
  await using api = await openApi({ tracer: told.tracer })
  const digest = await api.pushBlob('team/app', 'hello world')
  await api.call('GET', `/v2/team/app/blobs/${digest}`)
  expect(await told.last()).toMatchObject({
    stages: ['disk', 'first-byte'],
    pull: {
      kind: 'blob',
      repository: 'team/app',
      reference: digest,
      digest,
      size: 11,
      origins: { local: 11, upstream: 0, peers: new Map() },
      isComplete: true,
    },
    end: { route: 'blob', status: 200, error: undefined },
  })
  await api.call('GET', `/v2/team/app/blobs/${digest}`, { headers: { Range: 'bytes=2-4' } })
  expect((await told.last()).pull).toMatchObject({ size: 11, origins: { local: 3 }, isComplete: true })
})

it('tells of a manifest by the name that the client used, from the disk and from memory alike', async () => {
  const told = listen()
  await using api = await openApi({ tracer: told.tracer })
  const { digest, bytes } = await api.pushImage('team/app', '1.0')
  for (const stages of [['resolve'], []]) {
    await api.call('GET', '/v2/team/app/manifests/1.0')
    expect(await told.last()).toMatchObject({
      stages,
      pull: {
        kind: 'manifest',
        reference: '1.0',
        digest,
        mediaType: mediaTypes.ociManifest,
        origins: { local: bytes.length },
      },
    })
  }
})

it('tells of no pull where no body is sent', async () => {
  const told = listen()
  await using api = await openApi({ tracer: told.tracer })
  const { digest, config } = await api.pushImage('team/app', '1.0')
  const condition = { 'If-None-Match': `"${digest}"` }
  await api.call('HEAD', '/v2/team/app/manifests/1.0')
  expect(await told.last()).toMatchObject({ end: { status: 200 } })
  expect((await told.last()).pull).toBeUndefined()
  await api.call('HEAD', `/v2/team/app/blobs/${config}`)
  expect((await told.last()).pull).toBeUndefined()
  await api.call('GET', `/v2/team/app/blobs/${config}`, { headers: { 'If-None-Match': `"${config}"` } })
  expect(await told.last()).toMatchObject({ end: { status: 304 } })
  expect((await told.last()).pull).toBeUndefined()
  await api.call('GET', '/v2/team/app/manifests/1.0', { headers: condition })
  expect(await told.last()).toMatchObject({ end: { status: 304 } })
  expect((await told.last()).pull).toBeUndefined()
  await api.call('GET', '/v2/team/app/manifests/none')
  expect(await told.last()).toMatchObject({ stages: ['ask', 'resolve'], end: { status: 404 } })
  expect((await told.last()).pull).toBeUndefined()
})

it('tells of a client that leaves in the middle', async () => {
  const told = listen()
  await using api = await openApi({ tracer: told.tracer })
  const digest = await api.pushBlob('team/app', Buffer.alloc(64 * 1024 * 1024))
  const outgoing = request({ port: api.port, path: `/v2/team/app/blobs/${digest}`, agent: false })
  outgoing.on('error', () => undefined).end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  await once(response, 'data')
  outgoing.destroy()
  const { pull, end } = await told.last()
  expect(pull).toMatchObject({ isComplete: false })
  expect(pull?.origins.local).toBeLessThan(64 * 1024 * 1024)
  expect(end?.error).toMatchObject({ name: 'ClientGoneError' })
})

it('tells of pushes, and that a mount moved nothing', async () => {
  const told = listen()
  await using api = await openApi({ tracer: told.tracer })
  const digest = await api.pushBlob('team/app', 'hello world')
  expect((await told.last()).push).toEqual({
    kind: 'blob',
    repository: 'team/app',
    digest,
    mediaType: 'application/octet-stream',
    size: 11,
    tags: [],
    isMount: false,
  })
  await api.call('POST', `/v2/team/other/blobs/uploads/?mount=${digest}&from=team/app`)
  expect((await told.last()).push).toMatchObject({
    repository: 'team/other',
    digest,
    size: 11,
    isMount: true,
  })
  const image = await api.pushImage('team/app', '1.0')
  expect((await told.last()).push).toEqual({
    kind: 'manifest',
    repository: 'team/app',
    digest: image.digest,
    mediaType: mediaTypes.ociManifest,
    size: image.bytes.length,
    tags: ['1.0'],
    isMount: false,
  })
})

it('tells of deletions that happened', async () => {
  const told = listen()
  await using api = await openApi({ tracer: told.tracer })
  const { digest, config } = await api.pushImage('team/app', '1.0')
  await api.call('DELETE', '/v2/team/app/manifests/1.0')
  expect((await told.last()).deletion).toEqual({ kind: 'tag', repository: 'team/app', reference: '1.0' })
  await api.call('DELETE', '/v2/team/app/manifests/1.0')
  expect((await told.last()).deletion).toBeUndefined()
  await api.call('DELETE', `/v2/team/app/manifests/${digest}`)
  expect((await told.last()).deletion).toEqual({
    kind: 'manifest',
    repository: 'team/app',
    reference: digest,
  })
  await api.call('DELETE', `/v2/team/app/blobs/${config}`)
  expect((await told.last()).deletion).toEqual({ kind: 'blob', repository: 'team/app', reference: config })
})

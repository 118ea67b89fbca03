import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestBytes } from '../../src/oci/oci.ts'
import { type Answer, type Api, codesOf, openApi } from './harness.ts'

let api: Api
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api[Symbol.asyncDispose]())

async function start(repository = 'team/app', query = ''): Promise<string> {
  const answer = await api.call('POST', `/v2/${repository}/blobs/uploads/${query}`)
  expect(answer.status).toBe(202)
  return locationOf(answer)
}

function locationOf(answer: Answer): string {
  const { location } = answer.headers
  if (location === undefined) throw new Error('the answer has no Location')
  return location
}

describe('an upload', () => {
  it('takes a blob in chunks, saying how far it is without a unit', async () => {
    const bytes = randomBytes(3000)
    const started = await api.call('POST', '/v2/team/app/blobs/uploads/')
    expect(started.headers).toMatchObject({ range: '0-0', 'content-length': '0' })
    const location = locationOf(started)
    const first = await api.call('PATCH', location, {
      body: bytes.subarray(0, 1000),
      headers: { 'Content-Range': '0-999' },
    })
    expect([first.status, first.headers.range]).toEqual([202, '0-999'])
    const second = await api.call('PATCH', locationOf(first), { body: bytes.subarray(1000, 2999) })
    expect(second.headers.range).toBe('0-2998')
    const status = await api.call('GET', location)
    expect([status.status, status.headers.range]).toEqual([204, '0-2998'])
    const digest = digestBytes(bytes)
    const finished = await api.call('PUT', `${location}?digest=${digest}`, { body: bytes.subarray(2999) })
    expect(finished.status).toBe(201)
    expect(finished.headers).toMatchObject({
      location: `/v2/team/app/blobs/${digest}`,
      'docker-content-digest': digest,
    })
    const pulled = await api.call('GET', locationOf(finished))
    expect(pulled.body.equals(bytes)).toBe(true)
    expect((await api.call('GET', location)).status).toBe(404)
  })

  it('takes a PATCH without a length, as docker sends it', async () => {
    const location = await start()
    const answer = await api.call('PATCH', location, {
      body: 'abc',
      headers: { 'Transfer-Encoding': 'chunked', Connection: 'close' },
    })
    expect([answer.status, answer.headers.range]).toEqual([202, '0-2'])
    expect((await api.call('PUT', `${location}?digest=${digestBytes(Buffer.from('abc'))}`)).status).toBe(201)
  })

  it('takes POST then PUT with the whole body, as containerd and oras do', async () => {
    const location = await start()
    const bytes = randomBytes(100)
    const answer = await api.call('PUT', `${location}?digest=${encodeURIComponent(digestBytes(bytes))}`, {
      body: bytes,
    })
    expect(answer.status).toBe(201)
  })

  it('takes a body that calls itself a form as the bytes that it is', async () => {
    const location = await start()
    const body = 'a=b&c=%20d'
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
    const answer = await api.call('PUT', `${location}?digest=${digestBytes(Buffer.from(body))}`, {
      body,
      headers,
    })
    expect(answer.status).toBe(201)
  })

  it('takes the whole blob in one POST, the empty blob, and {}', async () => {
    for (const body of [randomBytes(5000), Buffer.alloc(0), Buffer.from('{}')]) {
      const digest = digestBytes(body)
      const answer = await api.call('POST', `/v2/team/app/blobs/uploads/?digest=${digest}`, { body })
      expect(answer.status).toBe(201)
      const head = await api.call('HEAD', `/v2/team/app/blobs/${digest}`)
      expect(head.headers).toMatchObject({
        'content-length': String(body.length),
        'docker-content-digest': digest,
      })
    }
  })

  it('takes sha512 wherever it takes sha256, asked for early or named at the end', async () => {
    const bytes = randomBytes(2000)
    const digest = digestBytes(bytes, 'sha512')
    for (const query of ['', '?digest-algorithm=sha512']) {
      const location = await start('team/sha512', query)
      await api.call('PATCH', location, { body: bytes.subarray(0, 700) })
      const answer = await api.call('PUT', `${location}?digest=${digest}`, { body: bytes.subarray(700) })
      expect(answer.status).toBe(201)
    }
    const pulled = await api.call('GET', `/v2/team/sha512/blobs/${digest}`)
    expect(createHash('sha512').update(pulled.body).digest('hex')).toBe(digest.slice(7))
  })

  it('refuses bytes that hash to something else, and keeps nothing of them', async () => {
    const location = await start()
    const wrong = digestBytes(randomBytes(8))
    const answer = await api.call('PUT', `${location}?digest=${wrong}`, { body: 'not that' })
    expect([answer.status, codesOf(answer)]).toEqual([400, ['DIGEST_INVALID']])
    expect((await api.call('HEAD', `/v2/team/app/blobs/${wrong}`)).status).toBe(404)
    expect(
      (await api.call('HEAD', `/v2/team/app/blobs/${digestBytes(Buffer.from('not that'))}`)).status,
    ).toBe(404)
  })

  it.each(['5-9', '0-9', '2-6'])(
    'answers a chunk at %s of a session at 3 with 416 and where to go on',
    async (range) => {
      const location = await start()
      await api.call('PATCH', location, { body: 'abc' })
      const [first = 0, last = 0] = range.split('-').map(Number)
      const body = Buffer.alloc(last - first + 1)
      const answer = await api.call('PATCH', location, { body, headers: { 'Content-Range': range } })
      expect([answer.status, answer.headers.range, answer.headers.location]).toEqual([416, '0-2', location])
      expect((await api.call('GET', location)).headers.range).toBe('0-2')
    },
  )

  it('refuses a Content-Range with a unit, or one that differs from the length', async () => {
    const location = await start()
    const unit = await api.call('PATCH', location, {
      body: 'abcde',
      headers: { 'Content-Range': 'bytes=0-4' },
    })
    expect(unit.status).toBe(416)
    const longer = await api.call('PATCH', location, { body: 'abcde', headers: { 'Content-Range': '0-9' } })
    expect([longer.status, codesOf(longer)]).toEqual([413, ['SIZE_INVALID']])
    expect((await api.call('GET', location)).headers.range).toBe('0-0')
  })

  it('is cancelled by DELETE, once', async () => {
    const location = await start()
    await api.call('PATCH', location, { body: 'abc' })
    expect((await api.call('DELETE', location)).status).toBe(204)
    for (const method of ['GET', 'DELETE', 'PATCH', 'PUT']) {
      const answer = await api.call(method, `${location}?digest=${digestBytes(Buffer.from(''))}`, {
        body: 'x',
      })
      expect([method, answer.status, codesOf(answer)]).toEqual([method, 404, ['BLOB_UPLOAD_UNKNOWN']])
    }
  })

  it('belongs to the repository that started it', async () => {
    const location = await start('team/mine')
    const stolen = location.replace('team/mine', 'team/yours')
    for (const [method, query] of [
      ['GET', ''],
      ['PATCH', ''],
      ['PUT', `?digest=${digestBytes(Buffer.from('x'))}`],
      ['DELETE', ''],
    ]) {
      expect((await api.call(method ?? '', stolen + query, { body: 'x' })).status).toBe(404)
    }
    expect((await api.call('GET', location)).status).toBe(204)
  })

  it('goes on where a dropped connection left it', async () => {
    const location = await start()
    const bytes = randomBytes(300_000)
    await breakOff(location, bytes, 200_000)
    const offset = await settledOffset(location)
    expect(offset).toBeGreaterThan(0)
    const rest = await api.call('PATCH', location, {
      body: bytes.subarray(offset),
      headers: { 'Content-Range': `${offset}-${bytes.length - 1}` },
    })
    expect(rest.status).toBe(202)
    expect((await api.call('PUT', `${location}?digest=${digestBytes(bytes)}`)).status).toBe(201)
  })

  it('needs a digest to finish, and a well-formed one', async () => {
    const location = await start()
    for (const query of [
      '',
      '?digest=',
      '?digest=sha256:abc',
      '?digest=md5:d41d8cd98f00b204e9800998ecf8427e',
    ]) {
      const answer = await api.call('PUT', location + query)
      expect([query, answer.status, codesOf(answer)]).toEqual([query, 400, ['DIGEST_INVALID']])
    }
    expect((await api.call('GET', location)).status).toBe(204)
  })
})

/** Sends a PATCH that promises all of `bytes`, sends `count` of them, and drops the connection. */
function breakOff(location: string, bytes: Uint8Array, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(api.port, '127.0.0.1')
    socket.once('error', reject)
    socket.once('close', () => resolve())
    socket.write(`PATCH ${location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${bytes.length}\r\n\r\n`)
    socket.write(bytes.subarray(0, count), () => socket.destroy())
  })
}

/** The session's offset once the server has noticed: the same twice, and not nothing. */
async function settledOffset(location: string): Promise<number> {
  for (let before = 0, tries = 0; tries < 500; tries++) {
    const { range = '0-0' } = (await api.call('GET', location)).headers
    const offset = range === '0-0' ? 0 : Number(range.slice(2)) + 1
    if (offset > 0 && offset === before) return offset
    before = offset
  }
  throw new Error('the session never settled')
}

describe('a mount', () => {
  it('makes a blob of another repository readable without an upload', async () => {
    const digest = await api.pushBlob('mount/source', 'mounted bytes')
    for (const [index, encoded] of [digest, encodeURIComponent(digest)].entries()) {
      const target = `mount/target-${index}`
      expect((await api.call('HEAD', `/v2/${target}/blobs/${digest}`)).status).toBe(404)
      const answer = await api.call(
        'POST',
        `/v2/${target}/blobs/uploads/?mount=${encoded}&from=mount%2Fsource`,
      )
      expect([answer.status, answer.headers.location]).toEqual([201, `/v2/${target}/blobs/${digest}`])
      expect((await api.call('GET', `/v2/${target}/blobs/${digest}`)).body.toString()).toBe('mounted bytes')
    }
  })

  it('works without naming the source', async () => {
    const digest = await api.pushBlob('mount/anonymous-source', 'anonymous bytes')
    expect((await api.call('POST', `/v2/mount/anonymous/blobs/uploads/?mount=${digest}`)).status).toBe(201)
  })

  it('becomes an upload where the source or the blob is unknown', async () => {
    const digest = await api.pushBlob('mount/source', 'mounted bytes')
    const unknown = digestBytes(randomBytes(8))
    for (const query of [
      `mount=${unknown}`,
      `mount=${unknown}&from=mount/source`,
      `mount=${digest}&from=mount/nowhere`,
    ]) {
      const answer = await api.call('POST', `/v2/mount/fresh/blobs/uploads/?${query}`)
      expect([query, answer.status]).toEqual([query, 202])
    }
    expect((await api.call('HEAD', `/v2/mount/fresh/blobs/${digest}`)).status).toBe(404)
  })
})

describe('limits on uploads', () => {
  it('bound the sessions, and let those that nobody goes on with give way', async () => {
    await using small = await openApi({ store: { maxSessions: 3 } })
    const begun = locationOf(await small.call('POST', '/v2/team/app/blobs/uploads/'))
    expect((await small.call('PATCH', begun, { body: 'begun' })).status).toBe(202)
    for (let index = 0; index < 100; index++)
      expect((await small.call('POST', `/v2/flood/${index}/blobs/uploads/`)).status).toBe(202)
    await small.pushImage('team/app', '1')
    expect((await small.call('PATCH', begun, { body: ' and gone on with' })).headers.range).toBe('0-21')
  })

  it('refuse the first byte of one too many while all others are at work', async () => {
    await using small = await openApi({ store: { maxSessions: 2 } })
    for (const repository of ['a', 'b']) {
      const location = locationOf(await small.call('POST', `/v2/${repository}/blobs/uploads/`))
      await small.call('PATCH', location, { body: Buffer.alloc(2 * 1024 * 1024) })
    }
    const location = locationOf(await small.call('POST', '/v2/c/blobs/uploads/'))
    const refused = await small.call('PATCH', location, { body: 'x' })
    expect([refused.status, codesOf(refused)]).toEqual([429, ['TOOMANYREQUESTS']])
    expect(refused.headers['retry-after']).toBe('30')
  })

  it('bound the bytes of one blob', async () => {
    await using small = await openApi({ store: { maxBlobBytes: 1000 } })
    const location = locationOf(await small.call('POST', '/v2/a/blobs/uploads/'))
    const answer = await small.call('PATCH', location, { body: Buffer.alloc(1001) })
    expect([answer.status, codesOf(answer)]).toEqual([413, ['SIZE_INVALID']])
  })

  it('keep a reserve on the disk, saying so with 507', async () => {
    await using full = await openApi({ store: { minFreeBytes: Number.MAX_SAFE_INTEGER } })
    const answer = await full.call('POST', '/v2/a/blobs/uploads/')
    expect([answer.status, codesOf(answer)]).toEqual([507, ['NO_SPACE']])
    // What docker looks for to not try again and again.
    expect(answer.reason).toBe('no space left on device')
  })
})

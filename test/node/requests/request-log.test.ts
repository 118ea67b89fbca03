import { describe, expect, it } from 'vitest'
import { openRequestLog } from '../../../node/requests/request-log.ts'
import { ClientGoneError } from '../../../src/http/exchange.ts'
import { OciError } from '../../../src/oci/oci.ts'
import { blobPull, digest, finished, manifestPull, startMs } from './finished.ts'

interface Line {
  level: string
  message: string
  fields: Record<string, unknown>
}

function open(options = { isVerbose: false }) {
  const lines: Line[] = []
  const level = (name: string) => (fields: object, message: string) => {
    lines.push({ level: name, message, fields: fields as Line['fields'] })
  }
  const logger = { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') }
  return { lines, log: openRequestLog(logger, options) }
}

describe('the log of requests', () => {
  it('says of a pull where every byte came from, and how long each stage took', () => {
    const { lines, log } = open()
    const stages = [
      { stage: 'find', startMs, endMs: startMs + 10.04 },
      { stage: 'first-byte', startMs, endMs: startMs + 50 },
    ] as const
    const peers = new Map([
      ['peer-a', 30],
      ['peer-b', 50],
    ])
    log.listener(finished({ stages, pull: blobPull({ local: 10, upstream: 5, peers }) }))
    expect(lines).toEqual([
      {
        level: 'info',
        message: 'pulled blob',
        fields: {
          repository: 'team/app',
          reference: digest,
          size: 100,
          bytes: 95,
          local: 10,
          upstream: 5,
          peers: { 'peer-b': 50, 'peer-a': 30 },
          findMs: 10,
          firstByteMs: 50,
          ms: 100,
          client: '127.0.0.1',
        },
      },
    ])
  })

  it('names the peers that gave most, and adds up the others', () => {
    const { lines, log } = open()
    const peers = new Map(Array.from({ length: 30 }, (_, index) => [`peer-${index}`, index + 1]))
    log.listener(finished({ pull: blobPull({ peers }) }))
    const named = lines[0]?.fields.peers as Record<string, number>
    expect(Object.keys(named)).toHaveLength(9)
    expect(named['peer-29']).toBe(30)
    expect(Object.values(named).reduce((sum, bytes) => sum + bytes)).toBe(465)
  })

  it('lists manifests that came from elsewhere, and those from here only when it is verbose', () => {
    for (const isVerbose of [false, true]) {
      const { lines, log } = open({ isVerbose })
      log.listener(finished({ pull: manifestPull({ local: 100 }) }))
      log.listener(finished({ pull: manifestPull({ peers: new Map([['peer-a', 100]]) }) }))
      expect(lines.map(({ level, fields }) => [level, fields.local])).toEqual([
        ...(isVerbose ? [['debug', 100]] : []),
        ['info', 0],
      ])
      expect(lines.at(-1)?.fields).toMatchObject({ reference: '1.0', digest })
    }
  })

  it('is not drowned by pulls of what is here: the rest of a second is one line', () => {
    const { lines, log } = open()
    for (let pull = 0; pull < 1000; pull++) log.listener(finished({ pull: blobPull({ local: 7 }) }))
    log.listener(finished({ pull: blobPull({ peers: new Map([['peer-a', 1]]) }) }))
    log[Symbol.dispose]()
    const rest = lines.at(-1)
    expect(lines).toHaveLength(20 + 2)
    expect(rest).toEqual({
      level: 'info',
      message: 'pulled more blobs that were here',
      fields: { pulls: 980, bytes: 980 * 7 },
    })
  })

  it.each([
    ['warn', 'a pull broke off', new Error('nobody holds the rest')],
    ['info', 'a client left in the middle of a pull', new ClientGoneError()],
  ])('writes at %s that %s', (level, message, error) => {
    const { lines, log } = open()
    log.listener(finished({ error, pull: blobPull({ local: 7 }, { isComplete: false }) }))
    expect(lines).toMatchObject([{ level, message, fields: { bytes: 7, size: 100 } }])
  })

  it('says of a pull that failed what was asked, and why', () => {
    const { lines, log } = open()
    const error = new OciError('UNAVAILABLE', 'nobody who holds it answers')
    const url = `/v2/team/app/blobs/${digest}?ns=docker.io`
    log.listener(finished({ route: 'blob', status: 503, error }, { url }))
    log.listener(
      finished({ route: 'manifest', error }, { url: '/v2/team/app/manifests/1.0', method: 'HEAD' }),
    )
    expect(lines).toEqual([
      {
        level: 'warn',
        message: 'a pull failed',
        fields: {
          repository: 'team/app',
          digest,
          method: 'GET',
          code: 'UNAVAILABLE',
          reason: 'nobody who holds it answers',
          ms: 100,
          client: '127.0.0.1',
        },
      },
      {
        level: 'warn',
        message: 'a pull failed',
        fields: expect.objectContaining({ repository: 'team/app', reference: '1.0', method: 'HEAD' }),
      },
    ])
  })

  it('takes what is not there, and what may not be had, for no failure', () => {
    const { lines, log } = open()
    for (const code of ['BLOB_UNKNOWN', 'NAME_UNKNOWN', 'DENIED', 'RANGE_INVALID'] as const) {
      const url = `/v2/team/app/blobs/${digest}`
      log.listener(finished({ route: 'blob', error: new OciError(code, 'no') }, { url }))
    }
    expect(lines).toEqual([])
  })

  it('has a line for a client that left, with what it had asked', () => {
    const { lines, log } = open()
    const request = { method: 'PATCH', url: '/v2/team/app/blobs/uploads/1' }
    log.listener(finished({ route: 'upload', error: new ClientGoneError() }, request))
    const wrapped = new OciError('UNAVAILABLE', 'given up', { cause: new ClientGoneError() })
    log.listener(finished({ route: 'blob', error: wrapped }, { url: `/v2/team/app/blobs/${digest}` }))
    expect(lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'info a client left before it was answered',
      'info a client left before it was answered',
    ])
    expect(lines[0]?.fields).toEqual({ ...request, ms: 100, client: '127.0.0.1' })
  })

  it('is not drowned by clients that leave, or by pulls that fail', () => {
    const { lines, log } = open()
    const error = new OciError('UNAVAILABLE', 'nobody who holds it answers')
    for (let request = 0; request < 1000; request++) {
      log.listener(finished({ error: new ClientGoneError() }))
      log.listener(
        finished({ error: new ClientGoneError(), pull: blobPull({ local: 7 }, { isComplete: false }) }),
      )
      log.listener(finished({ route: 'blob', error }, { url: `/v2/team/app/blobs/${digest}` }))
    }
    log[Symbol.dispose]()
    expect(lines.slice(-2)).toEqual([
      { level: 'info', message: 'more clients left', fields: { requests: 1980 } },
      { level: 'warn', message: 'more pulls failed', fields: { requests: 980 } },
    ])
    expect(lines).toHaveLength(20 + 20 + 2)
  })

  it('has one line for a push and one for a deletion, and none for the blobs of a push', () => {
    const { lines, log } = open()
    const push = { repository: 'team/app', digest, mediaType: 'm', size: 5, tags: ['1.0'], isMount: false }
    log.listener(finished({ push: { ...push, kind: 'blob' } }))
    log.listener(finished({ push: { ...push, kind: 'manifest' } }))
    log.listener(finished({ deletion: { kind: 'tag', repository: 'team/app', reference: '1.0' } }))
    log.listener(finished())
    expect(lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'debug pushed blob',
      'info pushed manifest',
      'info deleted tag',
    ])
    expect(lines[1]?.fields).toMatchObject({ tags: ['1.0'], size: 5, ms: 100 })
  })
})

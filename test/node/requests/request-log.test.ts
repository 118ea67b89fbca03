import { describe, expect, it } from 'vitest'
import { openRequestLog } from '../../../node/requests/request-log.ts'
import { ClientGoneError } from '../../../src/http/exchange.ts'
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

import { describe, expect, test } from 'vitest'
import { statusMessage, statusRequest } from '../../src/swarm/members/status-message.ts'
import { type Codec, MalformedError, peerIdOf } from '../../src/wire/wire.ts'
import { expectMalformedAtMost } from '../wire/malformed.ts'

const peer = peerIdOf(new Uint8Array(32).fill(9))
const status = {
  agent: 'shoal/0.1.0',
  announces: 3,
  peers: [{ addresses: ['/ip4/192.0.2.1/tcp/5001'], peer }],
  keeps: ['berlin/6b4cfda86e10'],
  away: ['quay.io'],
  running: Buffer.alloc(4, 7),
  rival: Buffer.alloc(4, 8),
  site: 'berlin',
  upstreams: ['docker.io'],
  room: 12,
}
const { away, keeps, running, site, upstreams } = status

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('messages between members', () => {
  test('have one encoding each', () => {
    expect({
      request: hex(statusRequest.encode({ away, keeps, running, site, upstreams })),
      status: hex(statusMessage.encode(status)),
    }).toMatchInlineSnapshot(`
      {
        "request": "a564617761798167717561792e696f6473697465666265726c696e656b6565707381736265726c696e2f3662346366646138366531306772756e6e696e67440707070769757073747265616d738169646f636b65722e696f",
        "status": "aa64617761798167717561792e696f64726f6f6d0c6473697465666265726c696e656167656e746b73686f616c2f302e312e30656b6565707381736265726c696e2f36623463666461383665313065706565727381a264706565727834313244334b6f6f574152647132716d6f5761775866686b7a5a48676350673268676b7754364746727a474d7675515a486377644a6961646472657373657381772f6970342f3139322e302e322e312f7463702f3530303165726976616c44080808086772756e6e696e67440707070769616e6e6f756e6365730369757073747265616d738169646f636b65722e696f",
      }
    `)
  })

  test('come back as they were sent', () => {
    expect(statusMessage.decode(statusMessage.encode(status))).toEqual(status)
  })

  const codecs: [string, Codec<unknown>, Uint8Array][] = [
    ['status', statusMessage, statusMessage.encode(status)],
    [
      'status request',
      statusRequest,
      statusRequest.encode({ away, keeps: [], running, upstreams: ['docker.io', 'quay.io'] }),
    ],
  ]

  test.each(codecs)('%s: anything else is malformed, and nothing else is thrown', (_name, codec, sample) =>
    expectMalformedAtMost(codec, sample),
  )

  test.each([
    ['a peer that is none', { ...status, peers: [{ addresses: [], peer: 'nobody' }] }],
    ['an address that is none', { ...status, peers: [{ addresses: ['localhost:5001'], peer }] }],
    ['an upstream that no repository can be named after', { ...status, upstreams: ['DOCKER\n'] }],
    ['a longer name of a site than is told', { ...status, site: 'a'.repeat(65) }],
    ['a longer statement than is told', { ...status, running: new Uint8Array(257) }],
    ['more keep rules than are told', { ...status, keeps: Array.from({ length: 65 }, () => 'a/b') }],
    ['more upstreams than are told', { ...status, upstreams: Array.from({ length: 33 }, () => 'quay.io') }],
    [
      'more peers than are told',
      { ...status, peers: Array.from({ length: 49 }, () => ({ addresses: [], peer })) },
    ],
  ])('refuses %s', (_what, wrong) => {
    const bytes = statusMessage.encode(wrong)
    expect(() => statusMessage.decode(bytes)).toThrow(MalformedError)
  })
})

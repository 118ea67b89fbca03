/** Who gets in from outside while others hold every place that has to be proven first. */
import type { Connection, MultiaddrConnection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { beforeEach, describe, expect, it } from 'vitest'
import { noMetrics } from '../../../src/base/base.ts'
import { createGater } from '../../../src/swarm/streams/gater.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'

let clock: SteppedClock
let gater: ReturnType<typeof createGater>
let warnings: { fields: object; message: string }[]

beforeEach(() => {
  clock = new SteppedClock()
  warnings = []
  const nothing = (): void => undefined
  gater = createGater({
    clock,
    logger: {
      debug: nothing,
      info: nothing,
      error: nothing,
      warn: (fields, message) => warnings.push({ fields, message }),
    },
    metrics: noMetrics,
    isUnwelcome: () => false,
    isToBeTold: () => false,
    isResting: () => false,
    ownAddresses: () => new Set(),
  })
})

/** A connection that says nothing until it is closed. */
class Silent extends EventTarget {
  readonly remoteAddr
  isClosed = false

  constructor(host: string) {
    super()
    this.remoteAddr = multiaddr(`/${host.includes(':') ? 'ip6' : 'ip4'}/${host}/tcp/4000`)
  }

  abort(error: Error): void {
    this.close(error)
  }

  close(error?: Error): void {
    this.isClosed = true
    this.dispatchEvent(Object.assign(new Event('close'), { error }))
  }
}

function knock(host: string) {
  const connection = new Silent(host)
  const raw = connection as unknown as MultiaddrConnection
  return { connection, raw, isRefused: gater.denyInboundConnection?.(raw) }
}

const addressOf = (at: number): string => `192.0.2.${at}`

describe('connections that have proven nothing', () => {
  it('never keep another address out, however many they are and however often they come again', () => {
    for (let at = 0; at < 40; at++) for (let n = 0; n < 20; n++) knock(addressOf(at))
    const member = knock('198.51.100.1')
    expect(member.isRefused).toBe(false)
    for (let at = 0; at < 40; at++) for (let n = 0; n < 20; n++) knock(addressOf(at))
    expect(member.connection.isClosed).toBe(false)
  })

  it('of one address give way to each other, the oldest first', () => {
    const knocks = Array.from({ length: 33 }, () => knock(addressOf(1)))
    expect(knocks.map(({ connection }) => connection.isClosed)).toEqual([true, ...Array(32).fill(false)])
  })

  it('that fail again and again are refused, until a while has passed', () => {
    const fail = (): void => knock('2001:db8::1').connection.close()
    for (let n = 0; n < 20; n++) fail()
    expect(knock('2001:db8::1').isRefused).toBe(true)
    // A host has all of these.
    expect(knock('2001:db8::ffff:1').isRefused).toBe(true)
    expect(knock('2001:db8:0:1::1').isRefused).toBe(false)
    clock.advance(1000)
    expect(knock('2001:db8::1').isRefused).toBe(false)
  })

  it('are told of in a few lines an hour, with what is known of their end', () => {
    for (let at = 0; at < 100; at++) knock(addressOf(at)).connection.close()
    expect(warnings.length).toBeLessThanOrEqual(16)
    expect(warnings[0]?.message).toContain('the other side left before the handshake was over')
    clock.advance(3600_000)
    knock(addressOf(200)).connection.close(new Error('The operation was aborted due to timeout'))
    expect(warnings.at(-1)?.message).toContain('did not finish the handshake in time')
    expect(warnings.at(-1)?.fields).toMatchObject({ unsaid: 84 })
  })

  it('leave nothing behind that a member which got in could be blamed for', async () => {
    const { raw, connection } = knock(addressOf(1))
    const peer = { toString: () => 'a member' } as unknown as Connection['remotePeer']
    expect(gater.denyInboundEncryptedConnection?.(peer, raw)).toBe(false)
    connection.close()
    expect(warnings).toEqual([])
  })
})

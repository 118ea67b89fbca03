/** Two ends of a real TCP connection, encrypted: what libp2p makes of it must be what is mended. */
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { MessageStream, Upgrader } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { encryption } from '../../../src/swarm/streams/encryption.ts'

const nothing = (): void => undefined
const quiet = Object.assign(() => undefined, { trace: nothing, error: nothing, newScope: () => quiet })
const logger = { forComponent: () => quiet }

let stack: AsyncDisposableStack
let ends: MessageStream[]

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  const both = [await openEncrypter(), await openEncrypter()]
  const [listening, dialling] = both
  const inbound = Promise.withResolvers<MessageStream>()
  const outbound = Promise.withResolvers<MessageStream>()
  const upgrader = {
    upgradeInbound: async (raw: MessageStream) => {
      const { connection } = (await listening?.secureInbound(raw)) ?? {}
      if (connection !== undefined) inbound.resolve(connection)
    },
    upgradeOutbound: async (raw: MessageStream) => {
      const { connection } = (await dialling?.secureOutbound(raw)) ?? {}
      if (connection !== undefined) outbound.resolve(connection)
    },
  } as unknown as Upgrader
  const transport = tcp()({ logger } as unknown as Parameters<ReturnType<typeof tcp>>[0])
  const listener = transport.createListener({ upgrader })
  await listener.listen(multiaddr('/ip4/127.0.0.1/tcp/0'))
  stack.defer(async () => await listener.close())
  const [address] = listener.getAddrs()
  if (address === undefined) throw new Error('nothing is listened on')
  await transport.dial(address, { upgrader, signal: AbortSignal.timeout(30_000) })
  ends = await Promise.all([outbound.promise, inbound.promise])
  for (const end of ends) stack.defer(() => end.abort(new Error('the test is over')))
})
afterEach(async () => {
  await stack.disposeAsync()
})

async function openEncrypter() {
  const privateKey = await generateKeyPair('Ed25519')
  const upgrader = { getStreamMuxers: () => new Map() }
  const components = { privateKey, logger, upgrader } as unknown as Parameters<
    ReturnType<typeof encryption>['encrypter']
  >[0]
  return encryption({ protocol: '/noise/1', prologue: Uint8Array.of(1) }).encrypter(components)
}

test('messages of all sizes arrive whole, also when they are cut or come together', async () => {
  const [from, to] = ends as [MessageStream, MessageStream]
  const sizes = [1, 2, 100, 65_519, 65_520, 1, 200_000, 3]
  const total = sizes.reduce((sum, size) => sum + size, 0)
  const received: Uint8Array[] = []
  const whole = Promise.withResolvers<void>()
  let count = 0
  to.addEventListener('message', ({ data }) => {
    received.push(data.subarray())
    count += data.byteLength
    if (count >= total) whole.resolve()
  })
  for (const size of sizes) from.send(new Uint8Array(size).fill(size % 251))
  await whole.promise
  expect(Buffer.concat(received)).toEqual(Buffer.concat(sizes.map((size) => Buffer.alloc(size, size % 251))))
})

test('the decoder of both ends says that bytes are missing by one and the same error', () => {
  const missing = ends.map((end) => {
    const { lengthDecoder } = (end as unknown as { decoder: { lengthDecoder(data: Uint8Array): number } })
      .decoder
    expect(lengthDecoder(Uint8Array.of(1, 2))).toBe(258)
    try {
      return lengthDecoder(Uint8Array.of(1))
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
      return error
    }
  })
  expect(missing[0]).toBe(missing[1])
})

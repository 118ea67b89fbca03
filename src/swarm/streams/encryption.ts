/**
 * Noise, as libp2p has it, but for three things. There is one for each secret of the cluster, under a protocol name of its own, so
 * that two nodes shake hands with the first that both have. And what happens when its decoder has read all that came, which
 * is after almost every message: it makes an error with a stack trace to say so, 6 % of what a node in a busy swarm computes.
 * Here it is always the same. And what is sent at once is written at once.
 */
import { noise } from '@chainsafe/libp2p-noise'
import type { SecretNames } from '../cluster/cluster.ts'
import { writeWhole } from './whole-writes.ts'

type Factory = ReturnType<typeof noise>
type Components = Parameters<Factory>[0]
type Encrypter = ReturnType<Factory>

interface Decoding {
  decoder: { lengthDecoder(data: Bytes): number }
}

interface Bytes {
  readonly length: number
  get?(index: number): number
  readonly [index: number]: number
}

const tooShort = new RangeError('the length of the next Noise message has not come yet')

export interface Encryption {
  /** For libp2p: the one of the first secret, which is all that it starts with. */
  readonly encrypter: Factory
  /** Later handshakes take the first of these that the other side has. Connections that stand are not touched. */
  use(secrets: readonly SecretNames[]): void
}

export function encryption(first: SecretNames): Encryption {
  let known: Components | undefined
  return {
    encrypter(components) {
      known = components
      return encrypterOf(first, components)
    },
    use(secrets) {
      if (known === undefined) throw new Error('libp2p has not asked for its encrypter yet')
      // libp2p reads the names anew at each connection, in their order.
      const encrypters = known.upgrader.getConnectionEncrypters()
      const before = new Map(encrypters)
      encrypters.clear()
      for (const names of secrets) {
        encrypters.set(names.protocol, before.get(names.protocol) ?? encrypterOf(names, known))
      }
    },
  }
}

function encrypterOf({ protocol, prologue }: SecretNames, components: Components): Encrypter {
  const encrypter = noise({ prologueBytes: prologue })(components)
  encrypter.protocol = protocol
  for (const name of ['secureInbound', 'secureOutbound'] as const) {
    const secure: Encrypter[typeof name] = encrypter[name].bind(encrypter)
    encrypter[name] = async (connection, options) => {
      writeWhole(connection)
      const secured = await secure(connection, options)
      if (isDecoding(secured.connection)) secured.connection.decoder.lengthDecoder = decodeLength
      return secured
    }
  }
  return encrypter
}

/** 16 bits, the high ones first. */
function decodeLength(data: Bytes): number {
  if (data.length < 2) throw tooShort
  const [high, low] = data.get === undefined ? [data[0], data[1]] : [data.get(0), data.get(1)]
  return ((high ?? 0) << 8) | (low ?? 0)
}

function isDecoding(connection: object): connection is Decoding {
  const { decoder } = connection as Partial<Decoding>
  return typeof decoder?.lengthDecoder === 'function'
}

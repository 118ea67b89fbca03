/**
 * Noise, as libp2p has it, but for what happens when its decoder has read all that came, which is after almost every message:
 * it makes an error with a stack trace to say so, 6 % of what a node in a busy swarm computes. Here it is always the same.
 */
import { type NoiseInit, noise } from '@chainsafe/libp2p-noise'

type Encrypter = ReturnType<ReturnType<typeof noise>>

interface Decoding {
  decoder: { lengthDecoder(data: Bytes): number }
}

interface Bytes {
  readonly length: number
  get?(index: number): number
  readonly [index: number]: number
}

const tooShort = new RangeError('the length of the next Noise message has not come yet')

export function encryption(init: NoiseInit): ReturnType<typeof noise> {
  return (components) => {
    const encrypter = noise(init)(components)
    for (const name of ['secureInbound', 'secureOutbound'] as const) {
      const secure: Encrypter[typeof name] = encrypter[name].bind(encrypter)
      encrypter[name] = async (connection, options) => {
        const secured = await secure(connection, options)
        if (isDecoding(secured.connection)) secured.connection.decoder.lengthDecoder = decodeLength
        return secured
      }
    }
    return encrypter
  }
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

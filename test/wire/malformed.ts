/** What every decoder of strangers' bytes has to bear. */
import fc from 'fast-check'
import { expect } from 'vitest'
import { type Codec, MalformedError } from '../../src/wire/wire.ts'

/** Of noise, of `sample` with a byte changed and of `sample` cut short, it decodes or throws `MALFORMED`, and nothing else. */
export function expectMalformedAtMost(codec: Codec<unknown>, sample: Uint8Array): void {
  const decode = (bytes: Uint8Array): void => {
    try {
      codec.decode(bytes)
    } catch (error) {
      expect(error).toBeInstanceOf(MalformedError)
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), decode))
  fc.assert(
    fc.property(fc.nat(sample.length - 1), fc.nat(255), (at, byte) => {
      const changed = Uint8Array.from(sample)
      changed[at] = byte
      decode(changed)
    }),
  )
  for (let length = 0; length < sample.length; length++)
    expect(() => codec.decode(sample.slice(0, length))).toThrow(MalformedError)
}

/** What a fuzz target is: decoders of strangers' bytes with what has to hold of them, whatever they are given. */
import { CodedError } from '../../src/base/base.ts'
import { type Codec, MalformedError } from '../../src/wire/wire.ts'

/** Throws for what a decoder must not do; refuses what is wrong with the input quietly. */
export type Check = (bytes: Uint8Array) => void | Promise<void>

export interface Decoder {
  check: Check
  /** Inputs that it accepts, and some that it almost does. */
  seeds: readonly Uint8Array[]
}

/** Decoders that are fuzzed together: the first byte of an input chooses among them. */
export interface Target {
  readonly decoders: Readonly<Record<string, Decoder>>
}

/** Whatever is found by it, and no fault of a decoder's own. */
export class FindingError extends Error {
  override readonly name = 'FindingError'
}

export async function runTarget(target: Target, input: Uint8Array): Promise<void> {
  await runDecoder(target.decoders[chosenBy(target, input)], input.subarray(1))
}

/** The name of the decoder that an input is for. */
export function chosenBy({ decoders }: Target, input: Uint8Array): string {
  const names = Object.keys(decoders)
  return names[(input[0] ?? 0) % names.length] ?? ''
}

export async function runDecoder(decoder: Decoder | undefined, bytes: Uint8Array): Promise<void> {
  if (decoder === undefined) throw new Error('no such decoder')
  // A copy of its own memory, so that none can write to what the fuzzer keeps or read beyond the end.
  await decoder.check(Uint8Array.from(bytes))
  const polluted = Object.keys(Object.prototype)
  if (polluted.length > 0) throw new FindingError(`Object.prototype has ${polluted.join(', ')}`)
}

/** Each decoder's seeds as inputs of the target, under names. */
export function seedsOf({ decoders }: Target): Map<string, Uint8Array> {
  const inputs = new Map<string, Uint8Array>()
  for (const [index, [name, { seeds }]] of Object.entries(decoders).entries())
    for (const [number, seed] of seeds.entries())
      inputs.set(`${name}-${number}`, Uint8Array.from([index, ...seed]))
  return inputs
}

/** `undefined` where it throws an error with one of these codes; whatever else it throws is a finding. */
export function refusing<T>(codes: readonly string[], work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    return refused(codes, error)
  }
}

export async function refusingLater<T>(
  codes: readonly string[],
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    return refused(codes, error)
  }
}

function refused(codes: readonly string[], error: unknown): undefined {
  if (error instanceof CodedError && codes.includes(error.code)) return undefined
  throw error
}

export function mustBe(isSo: boolean, otherwise: string): asserts isSo {
  if (!isSo) throw new FindingError(otherwise)
}

/** One value has one encoding: what is read is written as the same bytes, and nothing but `MALFORMED` is thrown. */
export function canonical<T>(decoder: Codec<T>, samples: readonly T[]): Decoder {
  return {
    seeds: samples.map((sample) => decoder.encode(sample)),
    check(bytes) {
      let value: T
      try {
        value = decoder.decode(bytes)
      } catch (error) {
        if (error instanceof MalformedError) return
        throw error
      }
      const again = decoder.encode(value)
      mustBe(Buffer.compare(again, bytes) === 0, `read and written again it is ${hex(again)}`)
    },
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Text as a stranger sends it in a header or a path: each byte a character, as Node reads them. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}

export function ascii(...texts: string[]): Uint8Array[] {
  return texts.map((text) => new Uint8Array(Buffer.from(text, 'latin1')))
}

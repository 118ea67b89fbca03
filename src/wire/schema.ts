/** What a CBOR value must look like: small schemas that read an untrusted value into a typed one, and write it back. */
import { MalformedError } from './errors.ts'

/** `read` throws `MALFORMED`, naming the place; `write` gives what the encoder takes. */
export interface Schema<T> {
  read(raw: unknown, at: string): T
  write(value: T): unknown
}

export type Infer<S> = S extends Schema<infer T> ? T : never

/** A field that may be absent. It is never present as null. */
export interface Optional<T> {
  optional: Schema<T>
}

type Fields = Record<string, Schema<unknown> | Optional<unknown>>
type Simplify<T> = { [K in keyof T]: T[K] }
type Struct<F extends Fields> = Simplify<
  { [K in keyof F as F[K] extends Schema<unknown> ? K : never]: Infer<F[K]> } & {
    [K in keyof F as F[K] extends Schema<unknown> ? never : K]?: F[K] extends Optional<infer T> ? T : never
  }
>

const same = <T>(value: T): unknown => value

function refuse(at: string, wanted: string): never {
  throw new MalformedError(`${at === '' ? 'the value' : at} is not ${wanted}`)
}

/** Text of at most `max` UTF-16 units. `parse` narrows it, and what it throws makes the value malformed. */
export function text<T extends string = string>(options: {
  max: number
  parse?: (text: string) => T
}): Schema<T> {
  const { max, parse } = options
  return {
    read(raw, at) {
      if (typeof raw !== 'string' || raw.length > max) refuse(at, `text of at most ${max} characters`)
      if (parse === undefined) return raw as T
      try {
        return parse(raw)
      } catch (cause) {
        throw new MalformedError(`${at}: ${cause instanceof Error ? cause.message : 'not accepted'}`, {
          cause,
        })
      }
    },
    write: same,
  }
}

/** Bytes, either of exactly `length` or of at most `max`. */
export function bytes(limit: { length: number } | { max: number }): Schema<Uint8Array> {
  const [least, most] = 'length' in limit ? [limit.length, limit.length] : [0, limit.max]
  return {
    read(raw, at) {
      if (!(raw instanceof Uint8Array) || raw.length < least || raw.length > most) {
        refuse(at, least === most ? `${most} bytes` : `at most ${most} bytes`)
      }
      return raw
    },
    write: same,
  }
}

/** A whole number from 0 to `max`, which defaults to the largest that is exact. */
export function uint(options: { max?: number } = {}): Schema<number> {
  const max = options.max ?? Number.MAX_SAFE_INTEGER
  return {
    read(raw, at) {
      if (typeof raw !== 'number' || !Number.isSafeInteger(raw) || raw < 0 || raw > max) {
        refuse(at, `a whole number from 0 to ${max}`)
      }
      return raw
    },
    write: same,
  }
}

export function literal<const T extends string | number | null>(value: T): Schema<T> {
  return {
    read: (raw, at) => (raw === value ? value : refuse(at, JSON.stringify(value))),
    write: same,
  }
}

export function nullable<T>(inner: Schema<T>): Schema<T | null> {
  return {
    read: (raw, at) => (raw === null ? null : inner.read(raw, at)),
    write: (value) => (value === null ? null : inner.write(value)),
  }
}

export function list<T>(item: Schema<T>, options: { max: number }): Schema<T[]> {
  return {
    read(raw, at) {
      if (!Array.isArray(raw) || raw.length > options.max) refuse(at, `a list of at most ${options.max}`)
      return raw.map((entry, index) => item.read(entry, `${at}[${index}]`))
    },
    write: (value) => value.map((entry) => item.write(entry)),
  }
}

/** A list of exactly these two. */
export function pair<A, B>(first: Schema<A>, second: Schema<B>): Schema<[A, B]> {
  return {
    read(raw, at) {
      if (!Array.isArray(raw) || raw.length !== 2) refuse(at, 'a list of two')
      return [first.read(raw[0], `${at}[0]`), second.read(raw[1], `${at}[1]`)]
    },
    write: ([a, b]) => [first.write(a), second.write(b)],
  }
}

/** A map from text to text, of at most `max` entries. */
export function dictionary(
  key: Schema<string>,
  value: Schema<string>,
  options: { max: number },
): Schema<Record<string, string>> {
  return {
    read(raw, at) {
      if (!(raw instanceof Map) || raw.size > options.max) refuse(at, `a map of at most ${options.max}`)
      const entries = [...raw].map(([name, entry]): [string, string] => [
        key.read(name, `a key of ${at}`),
        value.read(entry, `a value of ${at}`),
      ])
      // fromEntries defines properties, so that a key named __proto__ is a key like any other.
      return Object.fromEntries(entries)
    },
    write: (entries) => new Map(Object.entries(entries)),
  }
}

export function optional<T>(inner: Schema<T>): Optional<T> {
  return { optional: inner }
}

/** A map with exactly these text keys. */
export function struct<F extends Fields>(fields: F): Schema<Struct<F>> {
  const known = Object.entries(fields).map(([name, field]) => {
    const required = !('optional' in field)
    return { name, required, schema: required ? field : field.optional }
  })
  return {
    read(raw, at) {
      if (!(raw instanceof Map)) refuse(at, 'a map')
      const found: Record<string, unknown> = {}
      let count = 0
      for (const { name, required, schema } of known) {
        const entry = raw.get(name)
        if (entry === undefined) {
          if (required) throw new MalformedError(`${at === '' ? '' : `${at}.`}${name} is missing`)
          continue
        }
        found[name] = schema.read(entry, at === '' ? name : `${at}.${name}`)
        count++
      }
      if (count !== raw.size) throw new MalformedError(`${at === '' ? 'the value' : at} has an unknown field`)
      return found as Struct<F>
    },
    write(value) {
      const given = value as Record<string, unknown>
      const written = new Map<string, unknown>()
      for (const { name, schema } of known) {
        if (given[name] !== undefined) written.set(name, schema.write(given[name]))
      }
      return written
    },
  }
}

/** One of several structs, told apart by the text in `field`, which each of them declares as a literal. */
export function variant<const N extends string, V extends Record<string, Schema<object>>>(
  field: N,
  variants: V,
): Schema<Infer<V[keyof V]>> {
  const of = (name: unknown, at: string): Schema<object> => {
    const found = typeof name === 'string' && Object.hasOwn(variants, name) ? variants[name] : undefined
    return found ?? refuse(at === '' ? field : `${at}.${field}`, `one of ${Object.keys(variants).join(', ')}`)
  }
  return {
    read: (raw, at) =>
      of(raw instanceof Map ? raw.get(field) : undefined, at).read(raw, at) as Infer<V[keyof V]>,
    write: (value) => of((value as Record<string, unknown>)[field], '').write(value as object),
  }
}

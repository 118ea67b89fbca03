/** The parameters of a request to the API: each is parsed and bounded before anything is done with it. */
import {
  type Digest,
  parseDigest,
  parseReference,
  parseRepository,
  type Reference,
  type Repository,
} from '../../../src/oci/oci.ts'
import { PageError } from './page-error.ts'

/** Rows of one answer at most, whatever was asked for. */
export const maxRows = 200
const maxQueryLength = 256

export class Query {
  readonly #values: URLSearchParams

  constructor(querystring: string) {
    this.#values = new URLSearchParams(querystring)
  }

  /** Throws PageError when it is absent, OciError when it is none. */
  repository(): Repository {
    return parseRepository(this.#get('repository'))
  }

  reference(): Reference {
    return parseReference(this.#get('reference'))
  }

  /** `undefined` when it was not asked for. */
  blob(): Digest | undefined {
    const text = this.#values.get('blob')
    return text === null ? undefined : parseDigest(text)
  }

  /** What was typed, in lower case; empty when nothing was. */
  typed(): string {
    const text = (this.#values.get('q') ?? '').trim().toLowerCase()
    if (text.length <= maxQueryLength) return text
    throw new PageError('QUERY', 400, `q is longer than ${maxQueryLength} characters`)
  }

  /** As it was given; `undefined` when it was not. */
  text(name: string): string | undefined {
    const text = this.#values.get(name) ?? ''
    if (text.length > maxQueryLength)
      throw new PageError('QUERY', 400, `${name} is longer than ${maxQueryLength} characters`)
    return text === '' ? undefined : text
  }

  flag(name: string): boolean {
    return this.#values.get(name) === '1'
  }

  oneOf<T extends string>(name: string, first: T, ...others: T[]): T {
    const text = this.#values.get(name)
    if (text === null) return first
    const found = [first, ...others].find((value) => value === text)
    if (found !== undefined) return found
    throw new PageError('QUERY', 400, `${name} is not one of ${[first, ...others].join(', ')}`)
  }

  rows(): { offset: number; limit: number } {
    return {
      offset: this.#number('offset', 0, Number.MAX_SAFE_INTEGER),
      limit: Math.max(1, this.#number('limit', 100, maxRows)),
    }
  }

  #number(name: string, fallback: number, most: number): number {
    const text = this.#values.get(name)
    if (text === null) return fallback
    if (/^\d{1,15}$/.test(text)) return Math.min(Number(text), most)
    throw new PageError('QUERY', 400, `${name} is not a number of rows`)
  }

  #get(name: string): string {
    const text = this.#values.get(name)
    if (text !== null) return text
    throw new PageError('QUERY', 400, `${name} is missing`)
  }
}

/**
 * JSON from strangers: strict UTF-8, bounded depth, few enough values that reading them holds the event loop for moments only,
 * and no key twice, so that no two readers see different documents.
 */
import { OciError } from './errors.ts'

export type Json = null | boolean | number | string | Json[] | JsonObject
export interface JsonObject {
  [key: string]: Json | undefined
}

/** Deeper than any real manifest by far. */
const maxDepth = 32

/**
 * Sixteen for each descriptor of the largest manifest. What a document costs to read follows from their number more than from
 * its bytes: four megabytes of keys take half a second.
 */
const maxValues = 65_536
/** Each takes as long as twenty others. */
const maxEscapedKeys = 4_096

const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a]
const [openObject, closeObject, openArray, closeArray] = [0x7b, 0x7d, 0x5b, 0x5d]
/** Space, tab, line feed, carriage return. */
const spaces: readonly number[] = [0x20, 0x09, 0x0a, 0x0d]

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The caller bounds the size. Throws `MANIFEST_INVALID` saying what is wrong. */
export function parseJson(bytes: Uint8Array): Json {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch (cause) {
    invalid('the body is not UTF-8', cause)
  }
  // Before JSON.parse: it would build the whole tree of a document that is only brackets.
  checkShape(text)
  try {
    return JSON.parse(text) as Json
  } catch (cause) {
    return invalid(`the body is not JSON: ${(cause as SyntaxError).message}`, cause)
  }
}

/** One pass over text that may not even be JSON: what is not well formed is left for JSON.parse to name. */
function checkShape(text: string): void {
  const open: (Set<string> | undefined)[] = []
  let values = 0
  let escapedKeys = 0
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === quote) {
      const end = endOfString(text, at)
      const keys = open.at(-1)
      if (keys !== undefined && isFollowedByColon(text, end)) {
        const quoted = text.slice(at, end)
        if (quoted.includes('\\') && ++escapedKeys > maxEscapedKeys)
          invalid(`the body holds more than ${maxEscapedKeys} keys with a backslash`)
        addKey(keys, quoted)
      }
      at = end - 1
    } else if (char === openObject || char === openArray) {
      if (open.length === maxDepth) invalid(`the body is nested deeper than ${maxDepth} levels`)
      values++
      open.push(char === openObject ? new Set() : undefined)
    } else if (char === closeObject || char === closeArray) open.pop()
    else if (char === comma) values++
    // Each value but the first of a list or object is behind a comma, and each list or object behind its bracket.
    if (values > maxValues) invalid(`the body holds more than ${maxValues} values`)
  }
}

/** The index just after the closing quote, or the end of the text. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    at = text.indexOf('"', at)
    if (at === -1) return text.length
    let before = at
    while (text.charCodeAt(before - 1) === backslash) before--
    // An even number of backslashes escape each other.
    if ((at - before) % 2 === 0) return at + 1
  }
}

function isFollowedByColon(text: string, start: number): boolean {
  let at = start
  while (spaces.includes(text.charCodeAt(at))) at++
  return text.charCodeAt(at) === colon
}

function addKey(keys: Set<string>, quoted: string): void {
  const key = quoted.includes('\\') ? withoutEscapes(quoted) : quoted
  if (keys.has(key)) invalid(`the key ${key.slice(0, 80)} stands twice in one object`)
  keys.add(key)
}

/**
 * `"a"` and `"\u0061"` are the same key. A malformed escape stays as it is; JSON.parse refuses it afterwards. Keys are not counted
 * in what JSON.parse makes: after an object with the key `"\\"`, V8 13.6 takes an escaped one that stands twice for that.
 */
function withoutEscapes(quoted: string): string {
  try {
    return JSON.stringify(JSON.parse(quoted))
  } catch (error) {
    if (error instanceof SyntaxError) return quoted
    throw error
  }
}

function invalid(reason: string, cause?: unknown): never {
  throw new OciError('MANIFEST_INVALID', reason, { cause })
}

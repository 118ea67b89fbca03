/** JSON from strangers: strict UTF-8, bounded depth, and no key twice, so that no two readers see different documents. */
import { OciError } from './errors.ts'

export type Json = null | boolean | number | string | Json[] | JsonObject
export interface JsonObject {
  [key: string]: Json | undefined
}

/** Deeper than any real manifest by far. */
const maxDepth = 32

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The caller bounds the size. Throws `MANIFEST_INVALID` saying what is wrong. */
export function parseJson(bytes: Uint8Array): Json {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch (cause) {
    throw new OciError('MANIFEST_INVALID', 'the body is not UTF-8', { cause })
  }
  // Before JSON.parse: it would build the whole tree of a document that is only brackets.
  checkDepthAndKeys(text)
  try {
    return JSON.parse(text) as Json
  } catch (cause) {
    throw new OciError('MANIFEST_INVALID', `the body is not JSON: ${(cause as SyntaxError).message}`, {
      cause,
    })
  }
}

/** One pass over text that may not even be JSON: what is not well formed is left for JSON.parse to name. */
function checkDepthAndKeys(text: string): void {
  const open: (Set<string> | undefined)[] = []
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (char === '{' || char === '[') {
      if (open.length === maxDepth) {
        throw new OciError('MANIFEST_INVALID', `the body is nested deeper than ${maxDepth} levels`)
      }
      open.push(char === '{' ? new Set() : undefined)
    } else if (char === '}' || char === ']') {
      open.pop()
    } else if (char === '"') {
      const end = endOfString(text, at)
      const keys = open.at(-1)
      if (keys !== undefined && isFollowedByColon(text, end)) addKey(keys, text.slice(at, end))
      at = end - 1
    }
  }
}

/** The index just after the closing quote, or the end of the text. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at]
    if (char === '\\') at++
    else if (char === '"') return at + 1
  }
  return text.length
}

function isFollowedByColon(text: string, start: number): boolean {
  let at = start
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++
  return text[at] === ':'
}

function addKey(keys: Set<string>, quoted: string): void {
  const key = quoted.includes('\\') ? withoutEscapes(quoted) : quoted
  if (keys.has(key))
    throw new OciError('MANIFEST_INVALID', `the key ${key.slice(0, 80)} stands twice in one object`)
  keys.add(key)
}

/** `"a"` and `"\u0061"` are the same key. A malformed escape stays as it is; JSON.parse refuses it afterwards. */
function withoutEscapes(quoted: string): string {
  try {
    return JSON.stringify(JSON.parse(quoted))
  } catch (error) {
    if (error instanceof SyntaxError) return quoted
    throw error
  }
}

/** Addresses that strangers wrote into annotations and labels: only what a browser fetches as a page becomes a link. */

const maxLength = 2048

/** `undefined` for everything that is not a whole http or https address, such as `javascript:`. */
export function safeLink(text: string): string | undefined {
  if (text.length > maxLength || !/^https?:\/\/[^\s]+$/i.test(text)) return undefined
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  // `https://docker.io@evil.example` would show one host and lead to another.
  if (url.username !== '' || url.password !== '') return undefined
  return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : undefined
}

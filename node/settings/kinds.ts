/** The kinds of values that a setting can have, each read from text with an error that says what would do. */
import { parseDuration, parseSize } from '../../src/base/base.ts'

export interface Address {
  host: string
  port: number
}

/** Reads one value; throws an Error whose message is what is accepted, such as "HOST:PORT with a port up to 65535". */
export type Kind<T> = (text: string) => T

export const address: Kind<Address> = (text) => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9.-]+)):(\d{1,5})$/.exec(text)
  const [, ipv6, name, port] = match ?? []
  const host = ipv6 ?? name
  if (host === undefined || Number(port) > 65_535)
    throw expected('HOST:PORT, such as 127.0.0.1:5000 or [::1]:5000')
  return { host, port: Number(port) }
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Where something on this host connects to: who listens everywhere is reached on loopback. */
export function localAddress({ host, port }: Address): Address {
  if (host === '0.0.0.0') return { host: '127.0.0.1', port }
  return host === '::' ? { host: '::1', port } : { host, port }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d+){3}$/.test(host)
}

export const path: Kind<string> = (text) => {
  if (text === '' || text.includes('\0')) throw expected('a path')
  return text
}

export const text: Kind<string> = (value) => {
  if (value === '') throw expected('a text that is not empty')
  return value
}

/** Told to other members, so it is short. */
export const nodeName: Kind<string> = (value) => {
  if (/^[^\s\p{C}](?:[^\p{C}]{0,62}[^\s\p{C}])?$/u.test(value)) return value
  throw expected('a name of up to 64 characters')
}

export const url: Kind<URL> = (value) => {
  const parsed = URL.parse(value)
  const isPlain =
    parsed !== null &&
    (parsed.protocol === 'http:' || parsed.protocol === 'https:') &&
    parsed.username + parsed.password + parsed.search + parsed.hash === ''
  if (isPlain) return parsed
  throw expected(
    'an http or https URL without a user name, a query or a fragment, such as http://localhost:4318',
  )
}

/** As docker knows a registry on its host without further configuration. */
export function registryName({ host, port }: Address): string {
  const isHere = ['127.0.0.1', '::1', 'localhost', '0.0.0.0', '::'].includes(host)
  return formatAddress({ host: isHere ? 'localhost' : host, port })
}

/** A name as it stands in a request's Host, without its port; all names below one, or all there are. */
export const hostName: Kind<string> = (value) => {
  const name = value.replace(/^\*\.(?=.)/, '')
  if (value === '*' || /^(?!-)[a-zA-Z0-9_-]{1,63}(?:\.[a-zA-Z0-9_-]{1,63})*\.?$/.test(name)) return value
  throw expected('a host name without a port, such as registry.example, *.example for all below it, or *')
}

/** The name of a site: what its members agree on, and what fits a status message. */
export const word: Kind<string> = (value) => {
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(value))
    throw expected('up to 63 of a-z, 0-9, . _ and -, beginning with a letter or digit')
  return value
}

export const flag: Kind<boolean> = (value) => {
  if (['1', 'true', 'yes', 'on'].includes(value)) return true
  if (['', '0', 'false', 'no', 'off'].includes(value)) return false
  throw expected('true or false')
}

export function oneOf<T extends string>(...values: T[]): Kind<T> {
  return (value) => {
    const found = values.find((candidate) => candidate === value)
    if (found === undefined)
      throw expected(values.length === 1 ? `${values[0]}` : `one of ${values.join(', ')}`)
    return found
  }
}

/** From 1 on. */
export const count: Kind<number> = (value) => {
  if (/^[1-9]\d{0,8}$/.test(value)) return Number(value)
  throw expected('a whole number from 1 on')
}

/** Milliseconds. */
export const duration: Kind<number> = (value) => {
  const ms = parseDuration(value)
  if (ms === undefined) throw expected('a duration such as 30s, 15m, 24h or 7d')
  return ms
}

/** For what ends after it: nothing is made that has ended already. */
export const lifetime: Kind<number> = (value) => {
  const ms = parseDuration(value) ?? 0
  if (ms <= 0) throw expected('a duration above 0, such as 15m, 24h or 90d')
  return ms
}

/** Milliseconds, or Infinity. */
export const durationOrForever: Kind<number> = (value) => {
  if (value === 'forever') return Number.POSITIVE_INFINITY
  if (/^\d/.test(value)) return duration(value)
  throw expected('a duration such as 24h or 7d, or forever')
}

/** How many members. */
export const copies: Kind<number> = (value) => {
  const number = /^\d{1,2}$/.test(value) ? Number(value) : 0
  if (number < 1 || number > 16) throw expected('a number of copies from 1 to 16')
  return number
}

/** Bytes. */
export const size: Kind<number> = (value) => {
  const bytes = parseSize(value)
  if (bytes === undefined) throw expected('a size in bytes, or such as 512MiB, 20GiB')
  return bytes
}

/** So much of a disk: bytes, or a part of the whole of it. */
export type DiskShare = { bytes: number } | { share: number }

export const diskShare: Kind<DiskShare> = (value) => {
  const [, percent] = /^(\d{1,3})%$/.exec(value) ?? []
  if (percent === undefined && value !== '0' && /^\d{1,12}(?:KiB|MiB|GiB|TiB)?$/.test(value))
    return { bytes: size(value) }
  const share = Number(percent) / 100
  if (!(share > 0 && share <= 1)) throw expected('a size such as 200GiB, or a part of the disk such as 80%')
  return { share }
}

function expected(what: string): Error {
  return new Error(what)
}

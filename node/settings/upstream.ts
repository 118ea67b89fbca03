/** An upstream in the configuration: `NAME`, `NAME=URL`, or an object in the config file. */
import { findKnownUpstream, knownUpstreamNames } from '../../src/upstream/known-upstreams.ts'
import { type Kind, size } from './kinds.ts'
import { Secret } from './secret.ts'

/** What is told of one upstream. Files that it names are read when the node opens it. */
export interface UpstreamSetting {
  name: string
  url: URL
  authHosts: string[]
  username?: string
  password?: Secret
  passwordFile?: string
  /** What a token server exchanges for others. */
  token?: Secret
  tokenFile?: string
  /** A PEM file. */
  ca?: string
  /** Bytes per second. */
  maxDownload?: number
  /** Blobs at once. */
  concurrency?: number
  share?: boolean
  /** The config file that holds the password or the token. */
  secretIn?: string
}

/** A path component of a repository that is a host's name, so that no repository of the cluster's own can be meant. */
const namePattern = /^[a-z0-9]+(?:(?:_|__|-+)[a-z0-9]+)*(?:\.[a-z0-9]+(?:(?:_|__|-+)[a-z0-9]+)*)+$/
const maxNameLength = 128
const hostPattern = /^[a-z0-9.-]+(?::\d{1,5})?$/

export const upstream: Kind<UpstreamSetting> = (given) => {
  const at = given.indexOf('=')
  return at === -1 ? makeUpstream(given, undefined) : makeUpstream(given.slice(0, at), given.slice(at + 1))
}

/** From the config file. Throws an Error whose message is what is accepted; it holds nothing of what was given. */
export function upstreamFromObject(given: object, file: string): UpstreamSetting {
  const { name, url, ...rest } = given as Record<string, unknown>
  const setting = makeUpstream(textOf('name', name) ?? '', textOf('url', url))
  for (const [key, value] of Object.entries(rest)) {
    const read = Object.hasOwn(keys, key) ? keys[key] : undefined
    if (read === undefined)
      throw new Error(`an upstream with the keys name, url, ${Object.keys(keys).join(', ')}`)
    read(setting, value, key)
  }
  if (setting.password !== undefined || setting.token !== undefined) setting.secretIn = file
  return setting
}

type Reader = (setting: UpstreamSetting, value: unknown, key: string) => void

const keys: Record<string, Reader> = {
  username: textKey((setting, text) => {
    setting.username = text
  }),
  password: textKey((setting, text) => {
    setting.password = new Secret(text)
  }),
  passwordFile: textKey((setting, text) => {
    setting.passwordFile = text
  }),
  token: textKey((setting, text) => {
    setting.token = new Secret(text)
  }),
  tokenFile: textKey((setting, text) => {
    setting.tokenFile = text
  }),
  ca: textKey((setting, text) => {
    setting.ca = text
  }),
  authHosts(setting, value, key) {
    if (!Array.isArray(value) || !value.every((host) => typeof host === 'string' && hostPattern.test(host))) {
      throw new Error(`${key} to be a list of hosts, such as ["auth.example.com"]`)
    }
    setting.authHosts = [...setting.authHosts, ...value]
  },
  maxDownload(setting, value, key) {
    try {
      setting.maxDownload = size(String(value))
    } catch (cause) {
      throw new Error(`${key} to be ${(cause as Error).message}`, { cause })
    }
  },
  concurrency(setting, value, key) {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 64)
      throw new Error(`${key} to be a number from 1 to 64`)
    setting.concurrency = value
  },
  share(setting, value, key) {
    if (typeof value !== 'boolean') throw new Error(`${key} to be true or false`)
    setting.share = value
  },
}

function textKey(set: (setting: UpstreamSetting, text: string) => void): Reader {
  return (setting, value, key) => {
    const text = textOf(key, value)
    if (text !== undefined) set(setting, text)
  }
}

function textOf(key: string, value: unknown): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  throw new Error(`${key} to be a text`)
}

function makeUpstream(name: string, url: string | undefined): UpstreamSetting {
  if (name.length > maxNameLength || !namePattern.test(name)) {
    throw new Error('NAME or NAME=URL, where NAME is a host such as docker.io or registry.example.com')
  }
  const known = findKnownUpstream(name)
  if (url !== undefined) return { name, url: readUrl(url), authHosts: known?.authHosts ?? [] }
  if (known !== undefined) return { name, ...known }
  throw new Error(
    `NAME=URL, such as ${name}=https://${name}; without a URL: ${knownUpstreamNames.join(', ')}`,
  )
}

function readUrl(text: string): URL {
  const url = URL.parse(text)
  const isPlain =
    url !== null &&
    (url.protocol === 'https:' || url.protocol === 'http:') &&
    url.username + url.password + url.search + url.hash === '' &&
    url.pathname === '/'
  if (isPlain) return url
  throw new Error(
    'a URL of scheme, host and port alone, such as https://registry.example.com:8443; credentials belong into the config file or the environment',
  )
}

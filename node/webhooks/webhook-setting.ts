/** A webhook as it is configured: a URL, or a file that says to which, with which headers, and about what. */
import { readFile } from 'node:fs/promises'
import { CodedError, systemReason } from '../../src/base/base.ts'
import { validateHeaderName, validateHeaderValue } from '../node-http.ts'
import type { Kind } from '../settings/kinds.ts'
import { type Action, actions } from './events.ts'

export type WebhookSetting = { url: URL } | { file: string }

export interface Webhook {
  url: URL
  headers: Record<string, string>
  actions: readonly Action[]
}

/** The file of a webhook, or what it names, cannot be used. The message holds nothing of what may be a secret. */
export class WebhookError extends CodedError {
  readonly code = 'WEBHOOK'
}

const maxHeaders = 32
/** What frames a request is not the configuration's to say. */
const ownHeaders = ['content-type', 'content-length', 'host', 'transfer-encoding', 'connection']

export const webhook: Kind<WebhookSetting> = (given) => {
  const url = given.includes('://') ? readUrl(given) : undefined
  if (url !== undefined) return { url }
  if (!given.includes('://') && given !== '' && !given.includes('\0')) return { file: given }
  throw new Error(
    'an http or https URL without a user name, such as https://hooks.example.com/shoal, or a JSON file with "url" and "headers"',
  )
}

/** Reads what the setting names: its file, and the files and variables with the values of headers. Throws WebhookError. */
export async function readWebhook(setting: WebhookSetting, environment: NodeJS.ProcessEnv): Promise<Webhook> {
  if ('url' in setting) return { url: setting.url, headers: {}, actions }
  const { file } = setting
  const { url, headers = {}, actions: wanted = actions, ...rest } = parse(await readText(file, 'it'), file)
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) throw refusal(file, `"${unknown}" is no key; known are url, headers and actions`)
  const parsed = typeof url === 'string' ? readUrl(url) : undefined
  if (parsed === undefined) throw refusal(file, '"url" has to be an http or https URL without a user name')
  return {
    url: parsed,
    headers: await readHeaders(headers, environment, file),
    actions: readActions(wanted, file),
  }
}

function readUrl(text: string): URL | undefined {
  const url = URL.parse(text)
  const isHttp = url?.protocol === 'https:' || url?.protocol === 'http:'
  // Node's fetch takes no user name in a URL; and what belongs into a header stands in no list of processes.
  return url !== null && isHttp && url.username + url.password + url.hash === '' ? url : undefined
}

function readActions(given: unknown, file: string): Action[] {
  const wanted = Array.isArray(given) ? given : []
  const known = actions.filter((action) => wanted.includes(action))
  if (known.length > 0 && known.length === wanted.length) return known
  throw refusal(file, `"actions" has to be a list of ${actions.join(', ')}`)
}

async function readHeaders(
  given: unknown,
  environment: NodeJS.ProcessEnv,
  file: string,
): Promise<Record<string, string>> {
  const entries = isObject(given) ? Object.entries(given) : undefined
  if (entries === undefined || entries.length > maxHeaders) {
    throw refusal(file, `"headers" has to be an object of at most ${maxHeaders} names and values`)
  }
  const read = entries.map(async ([name, value]) => {
    if (ownHeaders.includes(name.toLowerCase()) || !isValid(() => validateHeaderName(name))) {
      throw refusal(file, `"${name}" is no header that can be set`)
    }
    const text = await readValue(name, value, environment, file)
    if (isValid(() => validateHeaderValue(name, text))) return [name, text] as const
    throw refusal(file, `the header ${name} holds what no header may`)
  })
  return Object.fromEntries(await Promise.all(read))
}

/** A text, or where it is: `{"file": PATH}` or `{"env": NAME}`. */
async function readValue(
  name: string,
  value: unknown,
  environment: NodeJS.ProcessEnv,
  file: string,
): Promise<string> {
  if (typeof value === 'string') return value
  if (isObject(value) && Object.keys(value).length === 1) {
    const { file: path, env } = value
    // Whoever writes such a file with an editor ends it with a new line.
    if (typeof path === 'string') return (await readText(path, `the header ${name}`)).replace(/\r?\n$/, '')
    const text = typeof env === 'string' ? environment[env] : undefined
    if (text !== undefined) return text
    if (typeof env === 'string') throw refusal(file, `the variable ${env} of the header ${name} is not set`)
  }
  throw refusal(file, `the header ${name} has to be a text, {"file": PATH} or {"env": NAME}`)
}

async function readText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new WebhookError(`--webhook: ${what} cannot be read: ${systemReason(cause)}`, { cause })
  }
}

function parse(text: string, file: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text)
    if (isObject(parsed)) return parsed
  } catch (error) {
    // What the parser says quotes the text, which may hold a secret.
    if (!(error instanceof SyntaxError)) throw error
  }
  throw refusal(file, 'it does not hold a JSON object')
}

function refusal(file: string, reason: string): WebhookError {
  return new WebhookError(`--webhook: ${file} is not accepted: ${reason}`)
}

/** Node's own checks throw, and what they throw quotes what was given. */
function isValid(check: () => void): boolean {
  try {
    check()
    return true
  } catch (error) {
    if (error instanceof TypeError) return false
    throw error
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What a node can be told: one table, read from flags, then the environment, then the config file, then defaults. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { CodedError } from '../src/base/base.ts'
import { nearest } from './nearest.ts'
import {
  address,
  duration,
  flag,
  type Kind,
  nodeName,
  oneOf,
  path,
  size,
  text,
  url,
  word,
} from './setting-kinds.ts'
import { type UpstreamSetting, upstream, upstreamFromObject } from './upstream-setting.ts'
import { webhook } from './webhooks/webhook-setting.ts'

interface Setting<T> {
  kind: Kind<T>
  /** As one would write it after the flag; `undefined` where the setting may be absent. */
  fallback: string | undefined
  /** For the help: what stands after the flag, and what it is for. */
  value: string
  help: string
  repeatable?: true
  /** Reads what the config file may say as an object instead of a text. */
  fromObject?: (given: object, file: string) => T
}

const fromCheckout = import.meta.url.endsWith('.ts')
/** The checkout's own, whichever folder the command is given in. */
const checkoutData = join(import.meta.dirname, '../shoal-data')

const table = {
  data: {
    kind: path,
    fallback: fromCheckout ? './shoal-data' : '/var/lib/shoal',
    value: 'DIR',
    help: 'where the node keeps everything',
  },
  http: {
    kind: address,
    fallback: '127.0.0.1:5000',
    value: 'HOST:PORT',
    help: 'where docker and other clients reach it',
  },
  p2p: { kind: address, fallback: '0.0.0.0:5001', value: 'HOST:PORT', help: 'where other nodes reach it' },
  join: {
    kind: text,
    fallback: undefined,
    value: 'TOKEN',
    help: 'join the cluster that made the token (see shoal token)',
  },
  bootstrap: {
    kind: text,
    fallback: undefined,
    value: 'MULTIADDR',
    help: 'a member to find the others by; may be given several times',
    repeatable: true,
  },
  site: {
    kind: word,
    fallback: undefined,
    value: 'NAME',
    help: 'the site of this node, among whose nodes keep rules with --site share their images',
  },
  'no-mdns': {
    kind: flag,
    fallback: 'false',
    value: '',
    help: 'do not look for members on the local network',
  },
  upstream: {
    kind: upstream,
    fromObject: upstreamFromObject,
    fallback: undefined,
    value: 'NAME[=URL]',
    help: 'a registry to mirror, such as docker.io; may be given several times',
    repeatable: true,
  },
  'mirror-ttl': {
    kind: duration,
    fallback: '5m',
    value: 'TIME',
    help: 'for how long a mirrored tag is served before its upstream is asked again; 0s for each time',
  },
  'no-bare-names': {
    kind: flag,
    fallback: 'false',
    value: '',
    help: "a name without a registry is never taken for the first upstream's",
  },
  'no-delete': { kind: flag, fallback: 'false', value: '', help: 'refuse every deletion by clients' },
  'gc-interval': {
    kind: duration,
    fallback: '1h',
    value: 'TIME',
    help: 'how often unreferenced content is collected; 0s for never',
  },
  'gc-grace': {
    kind: duration,
    fallback: '24h',
    value: 'TIME',
    help: 'how long content that nothing refers to is kept; longer than your longest push',
  },
  'max-upload': {
    kind: size,
    fallback: '0',
    value: 'SIZE',
    help: 'bytes per second to other members at most; 0 for no limit',
  },
  'max-download': {
    kind: size,
    fallback: '0',
    value: 'SIZE',
    help: 'bytes per second from other members at most; 0 for no limit',
  },
  'min-free': {
    kind: size,
    fallback: '256MiB',
    value: 'SIZE',
    help: 'uploads are refused when the disk has less than this left',
  },
  name: {
    kind: nodeName,
    fallback: undefined,
    value: 'NAME',
    help: "what this node is called where members are listed (default: the host's name)",
  },
  'no-page': { kind: flag, fallback: 'false', value: '', help: 'do not serve the web page' },
  'page-host': {
    kind: text,
    fallback: undefined,
    value: 'NAME',
    help: 'a host name by which browsers reach the page; may be given several times',
    repeatable: true,
  },
  'page-changes': {
    kind: flag,
    fallback: 'false',
    value: '',
    help: 'let whoever reaches the page delete tags and free space, not only browsers on this host',
  },
  webhook: {
    kind: webhook,
    fallback: undefined,
    value: 'URL|FILE',
    help: 'tell this URL of pushes, pulls and deletions; may be given several times',
    repeatable: true,
  },
  'trace-endpoint': {
    kind: url,
    fallback: undefined,
    value: 'URL',
    help: 'send traces to this OpenTelemetry collector, over HTTP',
  },
  'log-level': {
    kind: oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent'),
    fallback: 'info',
    value: 'LEVEL',
    help: 'trace, debug, info, warn, error or silent',
  },
  'log-format': {
    kind: oneOf('auto', 'json', 'pretty'),
    fallback: 'auto',
    value: 'FORMAT',
    help: 'json, pretty, or auto: pretty on a terminal and JSON lines elsewhere',
  },
} satisfies Record<string, Setting<unknown>>

type Table = typeof table
type Name = keyof Table
export type SettingName = Name
type ValueOf<N extends Name> =
  Table[N]['kind'] extends Kind<infer T>
    ? Table[N] extends { repeatable: true }
      ? T[]
      : Table[N] extends { fallback: undefined }
        ? T | undefined
        : T
    : never

export type Settings = { [N in Name]: ValueOf<N> }

/** A setting, a flag or a command that was not understood. The message says which, what was given, and what would do. */
export class UsageError extends CodedError {
  readonly code = 'USAGE'
}

/** A flag of one command; a text or a truth, or with `multiple` a list of them. */
export type ExtraFlag = { type: 'string' | 'boolean'; multiple?: boolean; short?: string }

/** What was given of the flags `F`. */
type ExtraValues<F extends Record<string, ExtraFlag>> = {
  [N in keyof F]: undefined | (F[N] extends { multiple: true } ? ValueOfFlag<F[N]>[] : ValueOfFlag<F[N]>)
}
type ValueOfFlag<F extends ExtraFlag> = F['type'] extends 'boolean' ? boolean : string

/** A Unix socket's path has room for 107 bytes, and the node's lies in its data directory. */
const maxDataPathBytes = 90

/**
 * Reads the settings named in `names` from everywhere that may set them. Throws UsageError before anything is opened.
 * `rest` holds the words that are no flags, and `extra` the flags of the command, which may have the name of a setting.
 */
export function readSettings<const F extends Record<string, ExtraFlag> = Record<never, ExtraFlag>>(
  args: string[],
  environment: NodeJS.ProcessEnv,
  extra?: F,
): { settings: Settings; rest: string[]; extra: ExtraValues<F> } {
  const { values, positionals } = parseFlags(args, extra ?? {})
  const configPath = stringOf(values.config) ?? environment.SHOAL_CONFIG
  const config = configPath === undefined ? {} : readConfig(configPath)
  const entries = (Object.keys(table) as Name[]).map((name) => {
    const candidates: [string, unknown][] = [
      [`--${name}`, Object.hasOwn(extra ?? {}, name) ? undefined : values[name]],
      [environmentName(name), environment[environmentName(name)]],
      [`"${name}" in ${configPath}`, config[name]],
      ['the default', name === 'data' && fromCheckout ? checkoutData : table[name].fallback],
    ]
    const [source, given] = candidates.find(([, value]) => value !== undefined) ?? ['', undefined]
    return [name, readValue(table[name], source, given, configPath)]
  })
  const settings = Object.fromEntries(entries) as Settings
  checkUpstreamNames(settings.upstream)
  settings.data = resolve(settings.data)
  if (Buffer.byteLength(settings.data) > maxDataPathBytes) {
    throw new UsageError(
      `--data: ${settings.data} is longer than the ${maxDataPathBytes} bytes that leave room for the socket in it; choose a shorter path`,
    )
  }
  const extras = Object.fromEntries(Object.keys(extra ?? {}).map((name) => [name, values[name]]))
  return { settings, rest: positionals, extra: extras as ExtraValues<F> }
}

/** Reads a flag of one command's own, from `extra`; `undefined` when it was not given. Throws UsageError. */
export function readFlag<T>(kind: Kind<T>, name: string, given: string | boolean | undefined): T | undefined {
  if (typeof given !== 'string') return undefined
  try {
    return kind(given)
  } catch (error) {
    throw new UsageError(`--${name}: "${given}" is not accepted; expected ${(error as Error).message}`, {
      cause: error,
    })
  }
}

export const allSettings = Object.keys(table) as SettingName[]

/** The settings as flags for a help text, `--config` among them. */
export function flagsOfSettings(
  names: SettingName[],
): Record<string, { kind: Kind<unknown>; value?: string; help: string }> {
  const flags = names.map((name) => {
    const { kind, value, help, fallback }: Setting<unknown> = table[name]
    const note = fallback === undefined || value === '' ? '' : ` (default ${fallback})`
    return [name, { kind, ...(value === '' ? {} : { value }), help: `${help}${note}` }]
  })
  const config = { kind: path, value: 'FILE', help: 'a JSON file with any of the settings as keys' }
  return { ...Object.fromEntries(flags), config }
}

function parseFlags(args: string[], extra: Record<string, ExtraFlag>) {
  const options: Record<string, { type: 'string' | 'boolean'; multiple?: boolean }> = {
    config: { type: 'string' },
    ...extra,
  }
  for (const [name, setting] of Object.entries<Setting<unknown>>(table)) {
    if (Object.hasOwn(extra, name)) continue
    options[name] = {
      type: setting.kind === flag ? 'boolean' : 'string',
      multiple: setting.repeatable ?? false,
    }
  }
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError(describeRefusal(error as Error, Object.keys(options)), { cause: error })
  }
}

/** As node:util says it, with the flag that was probably meant instead of advice on words that begin with a dash. */
function describeRefusal({ message }: Error, known: string[]): string {
  const [refusal, unknown = ''] = /^Unknown option '--?([^']*)'/.exec(message) ?? []
  if (refusal === undefined) return message
  const meant = nearest(unknown, known)
  return meant === undefined
    ? `${refusal}; --help lists what is known`
    : `${refusal}; did you mean --${meant}?`
}

function readConfig(file: string): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    // A parser quotes the text around the fault, which may be a password.
    const reason = (cause as Error).message.replace(/, (?:\.\.\.)?".*"(?:\.\.\.)? is not valid JSON$/s, '')
    throw new UsageError(`--config: ${file} cannot be read as JSON: ${reason}`)
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new UsageError(`--config: ${file} does not hold a JSON object`)
  }
  const unknown = Object.keys(parsed).find((key) => !Object.hasOwn(table, key))
  if (unknown !== undefined) {
    throw new UsageError(`--config: ${file} sets "${unknown}"; known are ${Object.keys(table).join(', ')}`)
  }
  return parsed as Record<string, unknown>
}

function readValue(
  setting: Setting<unknown>,
  source: string,
  given: unknown,
  file: string | undefined,
): unknown {
  if (setting.repeatable) {
    const one = typeof given === 'object' ? [given] : String(given).split(',')
    const list = given === undefined ? [] : Array.isArray(given) ? given : one
    return list.map((item) => readOne(setting, source, item, file))
  }
  return given === undefined ? undefined : readOne(setting, source, given, file)
}

function readOne(
  setting: Setting<unknown>,
  source: string,
  given: unknown,
  file: string | undefined,
): unknown {
  const asText = stringOf(given)
  const asObject = typeof given === 'object' && given !== null ? given : undefined
  try {
    if (asObject !== undefined && setting.fromObject !== undefined)
      return setting.fromObject(asObject, file ?? '')
    return setting.kind(asText ?? '')
  } catch (error) {
    const accepted = (error as Error).message
    throw new UsageError(`${source}: ${shown(given)} is not accepted; expected ${accepted}`, { cause: error })
  }
}

/** What was given, without what may be a secret in it: an object's values, and who a URL logs in as. */
function shown(given: unknown): string {
  const text = stringOf(given)
  if (text !== undefined) return `"${text.replace(/:\/\/[^/\s]*@/g, '://…@')}"`
  if (typeof given !== 'object' || given === null) return JSON.stringify(given)
  return Array.isArray(given) ? 'a list' : `an object with ${Object.keys(given).join(', ')}`
}

function checkUpstreamNames(upstreams: UpstreamSetting[]): void {
  const twice = upstreams.find(
    ({ name }, index) => upstreams.findIndex((other) => other.name === name) < index,
  )
  if (twice !== undefined) throw new UsageError(`--upstream: ${twice.name} is given twice`)
}

function environmentName(name: string): string {
  return `SHOAL_${name.toUpperCase().replaceAll('-', '_')}`
}

function stringOf(value: unknown): string | undefined {
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : undefined
}

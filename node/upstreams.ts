/** Opens the configured upstreams: reads the files that their settings name, and credentials from the environment. */
import { X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { type Logger, type Metrics, steadyClock, systemReason, TokenBucket } from '../src/base/base.ts'
import { kindOfHost } from '../src/upstream/address-kinds.ts'
import {
  type Credentials,
  openUpstreams,
  type UpstreamChange,
  type UpstreamOptions,
  type Upstreams,
} from '../src/upstream/upstream.ts'
import { type Settings, UsageError } from './settings/settings.ts'
import type { UpstreamSetting } from './settings/upstream.ts'

/** Throws UsageError for files that cannot be read and credentials that are half there. */
export async function openNodeUpstreams(
  { upstream }: Settings,
  environment: NodeJS.ProcessEnv,
  { logger, metrics }: { logger: Logger; metrics: Metrics },
): Promise<Upstreams> {
  const upstreams = await readUpstreams(upstream, environment, logger)
  return await openUpstreams({ upstreams, environment, metrics, onChange })

  function onChange(upstream: string, change: UpstreamChange): void {
    const from = upstreams.find(({ name }) => name === upstream)?.credentialsFrom
    const facts = { upstream, ...('reason' in change ? { reason: change.reason } : {}) }
    if (change.to === 'away')
      logger.warn(facts, 'an upstream cannot be reached; what the cluster holds of it is served')
    else if (change.to === 'back') logger.info(facts, 'an upstream answers again')
    else if (change.to === 'taking') logger.info(facts, 'an upstream takes the credentials again')
    else
      logger.warn(
        { ...facts, ...(from === undefined ? {} : { setIn: from }) },
        'an upstream refuses the credentials',
      )
  }
}

/** Everything that is to be known of them. Throws UsageError. */
export async function readUpstreams(
  settings: UpstreamSetting[],
  environment: NodeJS.ProcessEnv,
  logger: Logger,
): Promise<UpstreamOptions[]> {
  checkVariables(settings, environment)
  const upstreams = await Promise.all(
    settings.map((setting) => readUpstream(setting, credentialVariables(setting, settings, environment))),
  )
  await warnOfReadableSecrets(settings, logger)
  for (const { name, url, credentials } of upstreams) {
    const isOpen = url.protocol === 'http:' && kindOfHost(url.hostname) !== 'loopback'
    if (credentials !== undefined && isOpen)
      logger.warn(
        { upstream: name },
        'credentials go to an upstream without TLS, where anyone on the way can read them',
      )
  }
  return upstreams
}

async function readUpstream(
  setting: UpstreamSetting,
  variables: CredentialVariables,
): Promise<UpstreamOptions> {
  const { name, url, authHosts, ca, maxDownload, concurrency, share } = setting
  const { credentials, from } = await readCredentials(setting, variables)
  return {
    name,
    url,
    authHosts,
    ...(credentials === undefined ? {} : { credentials }),
    ...(credentials === undefined || from === undefined ? {} : { credentialsFrom: from }),
    ...(ca === undefined ? {} : { certificateAuthority: await readCertificate(ca, name) }),
    ...(share === undefined ? {} : { isShared: share }),
    ...(maxDownload === undefined || maxDownload === 0
      ? {}
      : { budget: new TokenBucket({ bytesPerSecond: maxDownload, nowMs: steadyClock.now() }) }),
    ...(concurrency === undefined ? {} : { limits: { maxBlobs: concurrency } }),
  }
}

interface CredentialVariables {
  prefix: string
  username: string | undefined
  password: string | undefined
  token: string | undefined
}

/** `SHOAL_UPSTREAM_DOCKER_IO_USERNAME` and the like, which win over the config file. */
function credentialVariables(
  { name }: UpstreamSetting,
  all: UpstreamSetting[],
  environment: NodeJS.ProcessEnv,
): CredentialVariables {
  const prefix = prefixOf(name)
  const [username, password, token] = ['USERNAME', 'PASSWORD', 'TOKEN'].map(
    (word) => environment[`${prefix}_${word}`] || undefined,
  )
  const other = all.find((candidate) => candidate.name !== name && prefixOf(candidate.name) === prefix)
  if (other !== undefined && (username ?? password ?? token) !== undefined) {
    throw new UsageError(
      `${prefix}_…: both ${name} and ${other.name} are written like that; put their credentials into the config file`,
    )
  }
  return { prefix, username, password, token }
}

/** Credentials for nobody are a name that is misspelt. Throws UsageError. */
function checkVariables(settings: UpstreamSetting[], environment: NodeJS.ProcessEnv): void {
  const prefixes = new Set(settings.map(({ name }) => prefixOf(name)))
  for (const variable of Object.keys(environment)) {
    const [, prefix] = /^(SHOAL_UPSTREAM_.+)_(?:USERNAME|PASSWORD|TOKEN)$/.exec(variable) ?? []
    if (prefix === undefined || prefixes.has(prefix)) continue
    const names = settings.length === 0 ? 'there is none' : settings.map(({ name }) => name).join(', ')
    throw new UsageError(
      `${variable} is for no upstream that is configured (${names}); see --upstream in shoal serve --help`,
    )
  }
}

function prefixOf(name: string): string {
  return `SHOAL_UPSTREAM_${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`
}

async function readCredentials(
  setting: UpstreamSetting,
  variables: CredentialVariables,
): Promise<{ credentials?: Credentials; from?: string }> {
  const { name } = setting
  const token =
    variables.token ??
    setting.token?.reveal() ??
    (await readSecretFile(setting.tokenFile, `the tokenFile of ${name}`))
  const username = variables.username ?? setting.username
  const password =
    variables.password ??
    setting.password?.reveal() ??
    (await readSecretFile(setting.passwordFile, `the passwordFile of ${name}`))
  if (token !== undefined && (username ?? password) !== undefined) {
    throw new UsageError(`--upstream: ${name} has both a token and a user name or password; give one of both`)
  }
  if (username?.includes(':') === true) {
    throw new UsageError(
      `--upstream: the user name for ${name} is not accepted; a user name cannot hold a colon`,
    )
  }
  if (token !== undefined)
    return { credentials: { token }, ...placeOf('TOKEN', variables, setting.tokenFile, setting) }
  if (username !== undefined && password !== undefined)
    return {
      credentials: { username, password },
      ...placeOf('PASSWORD', variables, setting.passwordFile, setting),
    }
  if (username === undefined && password === undefined) return {}
  const [missing, word] = username === undefined ? ['username', 'USERNAME'] : ['password', 'PASSWORD']
  throw new UsageError(
    `--upstream: ${name} has no ${missing} beside what is given; set ${variables.prefix}_${word} or "${missing}" in the config file`,
  )
}

/** Where the secret itself comes from, the one that is right first. */
function placeOf(
  word: 'TOKEN' | 'PASSWORD',
  variables: CredentialVariables,
  file: string | undefined,
  { secretIn, token, password }: UpstreamSetting,
): { from?: string } {
  const isSet = (word === 'TOKEN' ? variables.token : variables.password) !== undefined
  const inConfig = (word === 'TOKEN' ? token : password) === undefined ? undefined : secretIn
  const from = isSet ? `${variables.prefix}_${word}` : (inConfig ?? file)
  return from === undefined ? {} : { from }
}

async function readCertificate(file: string, name: string): Promise<string> {
  const text = await readText(file, `the ca of ${name}`)
  try {
    // Only to see that it is one: undici would say so at the first request.
    new X509Certificate(text)
    return text
  } catch (cause) {
    throw new UsageError(`--upstream: the ca of ${name}, ${file}, is no certificate in PEM`, { cause })
  }
}

async function readSecretFile(file: string | undefined, what: string): Promise<string | undefined> {
  // Whoever writes such a file with an editor ends it with a new line.
  return file === undefined ? undefined : (await readText(file, what)).replace(/\r?\n$/, '')
}

async function readText(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new UsageError(`--upstream: ${what} cannot be read: ${systemReason(cause)}`, { cause })
  }
}

/** Of the config file and of the files of passwords and tokens that others than this user may read. */
async function warnOfReadableSecrets(upstreams: UpstreamSetting[], logger: Logger): Promise<void> {
  const files = upstreams.flatMap(({ secretIn, passwordFile, tokenFile }) => [
    secretIn,
    passwordFile,
    tokenFile,
  ])
  for (const file of new Set(files.filter((name) => name !== undefined))) {
    const { mode } = await stat(file)
    if ((mode & 0o044) !== 0)
      logger.warn({ file }, 'a file with credentials can be read by other users; chmod it to 600')
  }
}

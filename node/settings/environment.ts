/** The settings as environment variables, and the refusal of those that are misspelt. */
import { nearest } from '../command-line/nearest.ts'
import { allSettings } from './table.ts'
import { UsageError } from './usage-error.ts'

const prefix = 'SHOAL_'
/** Besides the settings. */
const others = ['SHOAL_CONFIG', 'SHOAL_ADMIN_KEY']
const credentialWords = ['USERNAME', 'PASSWORD', 'TOKEN']

/** What Kubernetes and docker give to whatever runs beside a service of the name shoal, or of one that begins so. */
const serviceForm =
  /_SERVICE_(?:HOST|PORT(?:_\w+)?)$|_PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?$/

export function environmentName(setting: string): string {
  return `${prefix}${setting.toUpperCase().replaceAll('-', '_')}`
}

/** Throws UsageError: what is misspelt would be passed over, and the node run with a default. */
export function checkEnvironment(environment: NodeJS.ProcessEnv): void {
  const known = new Set([...allSettings.map(environmentName), ...others])
  for (const name of Object.keys(environment)) {
    if (!name.startsWith(prefix) || known.has(name) || serviceForm.test(`_${name.slice(prefix.length)}`))
      continue
    const meant = isCredential(name) ? name : nearestOf(name, known)
    if (meant === name) continue
    const hint = meant === undefined ? 'shoal serve --help lists them' : `did you mean ${meant}?`
    throw new UsageError(`the environment variable ${name} is no setting; ${hint}`)
  }
}

/** `SHOAL_UPSTREAM_DOCKER_IO_PASSWORD`: which upstreams there are is known only where they are opened. */
function isCredential(name: string): boolean {
  return new RegExp(`^SHOAL_UPSTREAM_[A-Z0-9_]+_(?:${credentialWords.join('|')})$`).test(name)
}

function nearestOf(name: string, known: Iterable<string>): string | undefined {
  const [, upstream, word] = /^(SHOAL_UPSTREAM_[A-Z0-9_]+_)([A-Z]+)$/.exec(name) ?? []
  const credential =
    word === undefined
      ? undefined
      : nearest(
          word,
          credentialWords.map((one) => one.toLowerCase()),
        )
  if (upstream !== undefined && credential !== undefined) return `${upstream}${credential.toUpperCase()}`
  const lower = new Map([...known].map((one) => [one.toLowerCase(), one]))
  return lower.get(nearest(name, lower.keys()) ?? '')
}

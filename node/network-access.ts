/** Whether clients of other hosts may be served: over TLS and by access rules, or as whoever runs the node says. */
import { type Clock, type Logger, untilOrAfter } from '../src/base/base.ts'
import type { Ledger } from '../src/records/records.ts'
import { formatAddress, isLoopback } from './settings/kinds.ts'
import { type Settings, speaksTls, UsageError } from './settings/settings.ts'

type Asked = Pick<Settings, 'http' | 'join' | 'tls' | 'tls-cert' | 'allow-anonymous-network'>
type Rules = Pick<Ledger, 'policy' | 'findRecord' | 'onChange'>

/** Within which a node that has just joined has to have heard the cluster's policy. */
const policyMs = 30_000

/** Whether the cluster says what each client may do, so that not everybody may everything. */
export function hasAccessRules(names: Pick<Ledger, 'policy'>): boolean {
  return (names.policy().access ?? []).length > 0
}

/** Whether nobody may be let in without rules: the port is for other hosts, and it was not said that everybody is meant. */
export function needsAccessRules({ http, 'allow-anonymous-network': isMeant }: Asked): boolean {
  return !isMeant && !isLoopback(http.host)
}

/** Why nobody is let in, in words. */
export function closedProblem(settings: Asked, names: Pick<Ledger, 'policy'>): string | undefined {
  if (!needsAccessRules(settings) || hasAccessRules(names)) return undefined
  return `the policy has no access rules any more, so nobody is let in at ${settings.http.host}`
}

/** What everybody may who reaches the port, where --allow-anonymous-network has it so, in words. */
export function openProblem(settings: Asked, names: Pick<Ledger, 'policy'>): string | undefined {
  const { http } = settings
  if (isLoopback(http.host) || !settings['allow-anonymous-network']) return undefined
  if (!hasAccessRules(names))
    return `whoever reaches ${formatAddress(http)} may pull, push and delete everything (--allow-anonymous-network, and no access rules)`
  if (speaksTls(settings)) return undefined
  return `what clients of ${formatAddress(http)} say and send, passwords too, crosses the network unprotected (--allow-anonymous-network, and no TLS)`
}

/** What everybody may although there are accounts, in words. */
export async function unruledProblem(
  names: Pick<Ledger, 'policy' | 'listAccounts'>,
): Promise<string | undefined> {
  if (hasAccessRules(names) || (await names.listAccounts({ limit: 1 })).length === 0) return undefined
  return `there are accounts, and ${unruled}`
}

/** Tells the log when the rules go, without which nobody is let in, and when they are back. */
export function tellOfAccessRules(
  settings: Asked,
  names: Pick<Ledger, 'policy' | 'onChange'>,
  logger: Logger,
): Disposable {
  const open = openProblem(settings, names)
  if (open !== undefined) logger.warn({}, `${open}; ${protect}`)
  let told = closedProblem(settings, names)
  const stop = names.onChange(() => {
    const problem = closedProblem(settings, names)
    if (problem === told) return
    told = problem
    if (problem === undefined)
      logger.info({}, 'the policy has access rules again, by which clients are let in')
    else logger.error({}, `${problem}; ${reopen}`)
  })
  return { [Symbol.dispose]: stop }
}

/**
 * Throws UsageError where the registry would listen for other hosts without TLS or without rules. `later` is for a node that
 * joins and knows no policy yet: serve after `untilAccessRules`.
 */
export function checkNetworkAccess(settings: Asked, names: Rules): 'now' | 'later' {
  const { http, join } = settings
  const lacksRules = !hasAccessRules(names)
  if (!needsAccessRules(settings)) return 'now'
  if (!speaksTls(settings))
    throw refusal(
      http.host,
      'what clients say and send would cross the network unprotected',
      lacksRules ? `${addTls} and ${addRules}` : addTls,
    )
  if (!lacksRules) return 'now'
  if (join !== undefined && names.findRecord({ kind: 'policy' }) === undefined) return 'later'
  throw refusal(
    http.host,
    'the policy has no access rules, so whoever reaches the port may pull, push and delete everything',
    addRules,
  )
}

/** Throws as `checkNetworkAccess` does when the members have none, or say nothing in time. */
export async function untilAccessRules({ http }: Asked, names: Rules, clock: Clock): Promise<void> {
  const arrived = Promise.withResolvers<void>()
  const look = (): void => {
    if (names.findRecord({ kind: 'policy' }) !== undefined) arrived.resolve()
  }
  const stop = names.onChange(look)
  look()
  await untilOrAfter(arrived.promise, policyMs, { clock })
  stop()
  if (!hasAccessRules(names))
    throw refusal(
      http.host,
      'no member has told this node of access rules, so whoever reaches the port might do everything',
      addRules,
    )
}

/** What to do about it. */
export const reopen =
  'set rules (the key "access" of the policy: shoal policy set), or start the node on 127.0.0.1 or with --allow-anonymous-network'

/** What an account alone does not change, and what does. */
export const unruled =
  'the policy has no access rules, so everybody may pull, push and delete everything, with an account or without'
export const rule =
  'say who may what by rules (the key "access" of the policy: shoal policy set; docs/accounts.md begins with some)'

export const protect =
  'set rules (the key "access" of the policy: shoal policy set) and add --tls self, or listen on 127.0.0.1'

const addTls = '--tls self (or --tls-cert and --tls-key)'
const addRules = 'access rules (the key "access" of the policy: shoal policy set)'

function refusal(host: string, why: string, missing: string): UsageError {
  return new UsageError(
    `--http: ${host} is reached from other hosts, and ${why}. Add ${missing}, or listen on 127.0.0.1; ` +
      '--allow-anonymous-network serves all the same',
  )
}

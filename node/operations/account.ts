/** Operations on accounts, and the question what somebody may do. */
import {
  type AccessRight,
  type Asker,
  anonymous,
  askerOf,
  type Explanation,
  explainAccess,
  hashPassword,
  hashSecret,
  makeSecret,
} from '../../src/access/access.ts'
import { CodedError } from '../../src/base/base.ts'
import { parseRepository } from '../../src/oci/oci.ts'
import {
  type AccountEntry,
  type AccountValue,
  isAccountName,
  isGroupName,
  isRobotName,
  maxAccountGroups,
  robotName,
} from '../../src/records/records.ts'
import type { LocalNode } from '../local-node.ts'
import { closedProblem, hasAccessRules, reopen } from '../network-access.ts'
import { address, registryName } from '../settings/kinds.ts'
import type { Settings } from '../settings/settings.ts'
import type { Operation, OperationName, OperationTypes } from './operations.ts'
import type { ShownAccount } from './shown.ts'

/** The account is not there, is there already, or cannot be as it is asked for. */
class AccountError extends CodedError {
  readonly code = 'ACCOUNT'
}

/** The accounts that are to be changed, wherever they are: on this node, or with what signs for it. */
export interface AccountNames extends Pick<LocalNode['names'], 'findAccount' | 'listAccounts'> {
  /** `decide` is given what stands; what it returns is signed, and stands when it resolves. */
  change(name: string, decide: Decide): Promise<void>
  /** Whether the policy says what an account may; while it does not, everybody may everything. */
  hasRules(): boolean
}

type Decide = (standing: AccountValue | undefined) => AccountValue | undefined

export interface AccountContext {
  names: AccountNames
  settings: Pick<Settings, 'http'>
  serving?: { http: string }
}

type Change<N extends OperationName> = (
  context: AccountContext,
  params: OperationTypes[N]['params'],
) => Promise<OperationTypes[N]['result']>

/** With what clients on this host call the node. */
export type MadePerson = ShownAccount & { registry: string } & Ruled

interface Ruled {
  /** Whether there are access rules, without which an account closes nothing. */
  hasRules: boolean
}

export interface MadeRobot extends Ruled {
  name: string
  /** Told once: nobody keeps it. */
  secret: string
  expiresMs?: number
}

/** In all; each is read when they are listed. */
const maxAccounts = 10_000
const maxPasswordBytes = 1024
/** NIST SP 800-63B, 3.1.1.2: short ones are guessed from their hash, which every member can read. */
const minPasswordLength = 8
const longestNote = 256
const pageLength = 500

export const addAccount: Change<'account-add'> = async (
  { names, settings, serving },
  { name, password, groups },
) => {
  if (isRobotName(name)) throw new AccountError(`${name} is a robot's name; make it with shoal account robot`)
  checkName(name)
  checkGroups(groups)
  await checkRoom({ names })
  const hash = await hashPassword(checkPassword(password))
  await names.change(name, (standing) => {
    if (standing !== undefined) throw alreadyThere(name)
    return { type: 'person', password: hash, groups }
  })
  return {
    ...shown(get({ names }, name)),
    registry: registryName(serving === undefined ? settings.http : address(serving.http)),
    hasRules: names.hasRules(),
  }
}

export const addRobot: Change<'account-robot'> = async ({ names }, params) => {
  const { expiresMs, note, groups } = params
  const name = isRobotName(params.name) ? params.name : robotName(params.name)
  checkName(name)
  checkGroups(groups)
  if (note !== undefined && note.length > longestNote)
    throw new AccountError(`the note has ${note.length} characters; at most ${longestNote} are kept`)
  await checkRoom({ names })
  const secret = makeSecret()
  const more = { ...(expiresMs === undefined ? {} : { expiresMs }), ...(note === undefined ? {} : { note }) }
  await names.change(name, (standing) => {
    if (standing !== undefined) throw alreadyThere(name)
    return { type: 'robot', secret: hashSecret(secret), groups, ...more }
  })
  return { name, secret, ...(expiresMs === undefined ? {} : { expiresMs }), hasRules: names.hasRules() }
}

export const setPassword: Change<'account-password'> = async ({ names }, { name, password }) => {
  get({ names }, name)
  const hash = await hashPassword(checkPassword(password))
  await names.change(name, (standing) => {
    if (standing?.type === 'person') return { ...standing, password: hash }
    throw new AccountError(`${name} is not a person with a password`)
  })
  return shown(get({ names }, name))
}

export const renewSecret: Change<'account-renew'> = async ({ names }, { name, expiresMs }) => {
  const secret = makeSecret()
  const ends = expiresMs === undefined ? {} : { expiresMs }
  await names.change(name, (standing) => {
    if (standing?.type !== 'robot') throw missing(name)
    const renewed = { ...standing, ...ends, secret: hashSecret(secret) }
    if (renewed.expiresMs !== undefined && renewed.expiresMs <= Date.now())
      throw new AccountError(
        `${name} has expired, and a new secret would be worth nothing; shoal account passwd '${name}' --expires TIME moves its end`,
      )
    return renewed
  })
  const { value } = get({ names }, name)
  const expires =
    value.type === 'robot' && value.expiresMs !== undefined ? { expiresMs: value.expiresMs } : {}
  return { name, secret, ...expires, hasRules: names.hasRules() }
}

export const setGroups: Change<'account-groups'> = async ({ names }, { name, groups }) => {
  checkGroups(groups)
  await names.change(name, (standing) => {
    if (standing === undefined) throw missing(name)
    return { ...standing, groups }
  })
  return shown(get({ names }, name))
}

export const disableAccount: Change<'account-disable'> = async ({ names }, { name, disabled }) => {
  await names.change(name, (standing) => {
    if (standing === undefined) throw missing(name)
    const { disabledMs = Date.now(), ...rest } = standing
    return disabled ? { ...rest, disabledMs } : rest
  })
  return shown(get({ names }, name))
}

export const removeAccount: Change<'account-rm'> = async ({ names }, { name }) => {
  await names.change(name, (standing) => {
    if (standing === undefined) throw missing(name)
    return undefined
  })
  return { name }
}

export const listAccounts: Operation<'account-ls'> = async ({ node }, { after }) => {
  const page = await node.names.listAccounts({ limit: pageLength, ...(after === undefined ? {} : { after }) })
  return { accounts: page.map(shown), ...(page.length < pageLength ? {} : { next: page.at(-1)?.name ?? '' }) }
}

export const explain: Operation<'access-explain'> = async ({ node }, { who, repository }) => {
  const { asker, account } = findAsker(node, who)
  const explanation = explainAccess(node.names.policy().access ?? [], asker, parseRepository(repository))
  const closed = closedProblem(node.settings, node.names)
  if (closed !== undefined) return { who, repository, may: [], why: `${closed}; ${reopen}` }
  const keptOut = account === undefined ? undefined : whyKeptOut(account)
  if (keptOut === undefined) return { who, repository, ...explanation }
  const otherwise = explanation.may.length === 0 ? 'nothing' : explanation.may.join(', ')
  const why = `the account ${keptOut}, and nobody can sign in with it; otherwise ${otherwise}: ${explanation.why}`
  return { who, repository, may: [], why }
}

function whyKeptOut({ value }: AccountEntry): string | undefined {
  if (value.disabledMs !== undefined) return 'is disabled'
  const isExpired = value.type === 'robot' && value.expiresMs !== undefined && value.expiresMs <= Date.now()
  return isExpired ? 'has expired' : undefined
}

export type ExplainedAccess = Explanation & { who: string; repository: string; may: AccessRight[] }

/** Signed by the authority where its key is here, else by this node, which the policy has to name. */
export function onNode<N extends OperationName>(change: Change<N>): Operation<N> {
  return async ({ node, serving }, params) => {
    const { names, settings } = node
    const here: AccountNames = {
      findAccount: (name) => names.findAccount(name),
      listAccounts: (page) => names.listAccounts(page),
      hasRules: () => hasAccessRules(names),
      async change(name, decide) {
        // Decided in the ledger's turn, so that of two changes at once neither undoes the other.
        const decision = async () => [
          { kind: 'account' as const, name, value: decide(names.findAccount(name)?.value) },
        ]
        if (names.authority.holds()) await names.publishAsAuthority(decision)
        else await names.publish(decision)
      },
    }
    return await change({ names: here, settings, ...(serving === undefined ? {} : { serving }) }, params)
  }
}

function get({ names }: Pick<AccountContext, 'names'>, name: string): AccountEntry {
  const account = names.findAccount(name)
  if (account === undefined) throw missing(name)
  return account
}

function shown({ name, value, writtenMs, author }: AccountEntry): ShownAccount {
  const { type, groups, disabledMs } = value
  const { expiresMs, note } = value.type === 'robot' ? value : {}
  return {
    name,
    type,
    groups,
    ...(disabledMs === undefined ? {} : { disabledMs }),
    ...(expiresMs === undefined ? {} : { expiresMs }),
    ...(note === undefined ? {} : { note }),
    writtenMs,
    author,
  }
}

/** `ann`, `robot$deploy`, or what a rule can name: `user:ann`, `group:ci`, `robot:deploy`, `anyone`, `anonymous`. */
function findAsker({ names }: LocalNode, who: string): { asker: Asker; account?: AccountEntry } {
  if (who === 'anonymous') return { asker: anonymous }
  if (who === 'anyone') return { asker: { name: 'anyone', key: 'anyone', names: ['anyone'] } }
  const [kind, rest] = who.includes(':')
    ? [who.slice(0, who.indexOf(':')), who.slice(who.indexOf(':') + 1)]
    : ['', who]
  if (kind === 'group' && isGroupName(rest)) return { asker: { name: who, key: who, names: [who, 'anyone'] } }
  if (!['', 'user', 'robot'].includes(kind)) throw new AccountError(`"${who}" names nobody; ${whoHelp}`)
  const name = kind === 'robot' ? robotName(rest) : rest
  const account = isAccountName(name) ? names.findAccount(name) : undefined
  if (account === undefined) throw new AccountError(`there is no account "${name}"; ${whoHelp}`)
  return { asker: askerOf(account), account }
}

const whoHelp = 'give the name of an account (shoal account ls), robot:NAME, group:NAME, anyone or anonymous'

export async function checkRoom({
  names,
}: {
  names: Pick<LocalNode['names'], 'listAccounts'>
}): Promise<void> {
  if ((await names.listAccounts({ limit: maxAccounts })).length < maxAccounts) return
  throw new AccountError(
    `there are ${maxAccounts} accounts, and no more are taken; remove some (shoal account rm)`,
  )
}

function checkName(name: string): void {
  if (isAccountName(name)) return
  throw new AccountError(
    `"${name}" cannot be an account's name; use up to 64 of a-z, 0-9, and . _ - @ in between`,
  )
}

function checkGroups(groups: string[]): void {
  const wrong = groups.find((group) => !isGroupName(group))
  if (wrong !== undefined)
    throw new AccountError(
      `"${wrong}" cannot be a group's name; use up to 64 of a-z, 0-9, and . _ - @ in between`,
    )
  if (groups.length > maxAccountGroups)
    throw new AccountError(`${groups.length} groups are too many; an account can be in ${maxAccountGroups}`)
}

function checkPassword(password: string): string {
  const bytes = Buffer.byteLength(password)
  if (bytes > maxPasswordBytes)
    throw new AccountError(`the password has ${bytes} bytes; at most ${maxPasswordBytes} are taken`)
  const { length } = [...password]
  if (length >= minPasswordLength) return password
  throw new AccountError(
    `the password has ${length === 1 ? '1 character' : `${length} characters`}; take at least ${minPasswordLength}, such as four words that do not belong together`,
  )
}

function missing(name: string): AccountError {
  return new AccountError(`there is no account "${name}"; shoal account ls lists those there are`)
}

function alreadyThere(name: string): AccountError {
  return new AccountError(
    `there is an account ${name} already; shoal account passwd '${name}' gives it another secret`,
  )
}

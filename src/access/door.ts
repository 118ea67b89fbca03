/** Access as a node has it: the accounts and rules of its ledger, followed as they change. */
import { type Clock, steadyClock, wallClock } from '../base/base.ts'
import {
  type AccessRight,
  type AccessRule,
  type AccountEntry,
  type ClusterRight,
  isAccountName,
  type Ledger,
} from '../records/records.ts'
import { type Asker, anonymous, askerOf } from './asker.ts'
import { Credentials } from './credentials.ts'
import { Rights } from './rights.ts'
import { type SessionSecrets, Sessions } from './sessions.ts'
import { Tokens, tokenMs } from './tokens.ts'

export interface Access extends Disposable {
  /** Whether the cluster has accounts or rules. */
  readonly isOn: boolean
  /** Why the rules count no more and nobody may anything, in words. */
  readonly outdated: string | undefined
  /** Who asks. Anonymous without credentials. Throws SignInError. */
  identify(authorization: string | undefined, client: string, connection?: object): Asker | Promise<Asker>
  /** As `identify`, of what was found right on the same connection before; `undefined` of all others. */
  recallOn(connection: object, authorization: string): Asker | undefined
  /** As `identify`, of credentials that were found right before; anonymous with all others. */
  recall(authorization: string | undefined): Asker
  may(asker: Asker, repository: string, right: AccessRight): boolean
  /** For every repository that there could be. */
  mayEverywhere(asker: Asker, right: AccessRight): boolean
  maySomewhere(asker: Asker, right: AccessRight): boolean
  /** Whether the asker may change accounts, or members and invitations. */
  mayInCluster(asker: Asker, right: ClusterRight): boolean
  /** A bearer token for the asker, and how long it is good for. */
  issueToken(asker: Asker): { token: string; seconds: number }
  /** For who signed in with a browser; `undefined` for who did not sign in. */
  openSession(asker: Asker): SessionSecrets | undefined
  /** Whose session it is, while it lasts. */
  askerOfSession(secrets: SessionSecrets): Asker | undefined
  closeSession(secrets: SessionSecrets): void
}

export interface AccessOptions {
  names: Pick<Ledger, 'findAccount' | 'listAccounts' | 'policy' | 'findRecord' | 'onChange'>
  /** Whether the cluster had rules when its policy was known last. */
  mark?: { readonly isSet: boolean }
  /** Where not everybody may be let in: without rules nobody is. */
  needsRules?: boolean
  /** Says why what is known of accounts and rules is too old to let anybody in. */
  contact?: { problem(): string | undefined }
  /** For durations. */
  steady?: Clock
  /** What expiry is compared with. */
  clock?: Clock
}

/** While the rules that there are cannot be read. */
const forNobody: readonly AccessRule[] = [{ repositories: '**', who: [], may: [] }]
/** Accounts that were looked up, found or not. */
const maxRemembered = 4096

export async function openAccess(options: AccessOptions): Promise<Access> {
  const access = new LedgerAccess(options)
  await access.start()
  return access
}

class LedgerAccess implements Access {
  readonly #names: AccessOptions['names']
  readonly #mark: AccessOptions['mark']
  readonly #needsRules: boolean
  readonly #contact: AccessOptions['contact']
  readonly #credentials: Credentials
  readonly #tokens: Tokens
  readonly #sessions: Sessions
  readonly #accounts = new Map<string, AccountEntry | undefined>()
  #rights: Rights
  #hasAccounts = false
  #changes = 0
  #unsubscribe: () => void = () => undefined

  constructor(options: AccessOptions) {
    const { names, mark, needsRules = false, contact, steady = steadyClock, clock = wallClock } = options
    this.#contact = contact
    this.#names = names
    this.#mark = mark
    this.#needsRules = needsRules
    this.#tokens = new Tokens(steady)
    const findAccount = (name: string): AccountEntry | undefined => this.#findAccount(name)
    const changes = (): number => this.#changes
    this.#credentials = new Credentials({ findAccount, changes, tokens: this.#tokens, steady, clock })
    this.#sessions = new Sessions({ findAccount, steady, clock })
    this.#rights = this.#readRights()
  }

  async start(): Promise<void> {
    this.#unsubscribe = this.#names.onChange((keys) => {
      const isPolicy = keys.some(({ kind }) => kind === 'policy')
      const isAccount = keys.some(({ kind }) => kind === 'account')
      if (isPolicy) this.#rights = this.#readRights()
      if (isPolicy || isAccount) {
        this.#accounts.clear()
        this.#changes++
      }
      if (keys.some((key) => key.kind === 'account' && !key.deleted)) this.#hasAccounts = true
    })
    this.#hasAccounts ||= (await this.#names.listAccounts({ limit: 1 })).length > 0
  }

  /** Once it was on for accounts it stays so until the node starts again: removing the last one opens nothing. */
  get isOn(): boolean {
    return this.#hasAccounts || !this.#rights.areOpen
  }

  get outdated(): string | undefined {
    return this.#contact?.problem()
  }

  identify(authorization: string | undefined, client: string, connection?: object): Asker | Promise<Asker> {
    if (authorization === undefined || !this.isOn) return anonymous
    const known = this.#credentials.recall(authorization, connection)
    return known ?? this.#credentials.check(authorization, client)
  }

  recallOn(connection: object, authorization: string): Asker | undefined {
    return this.#credentials.recallOn(connection, authorization)
  }

  recall(authorization: string | undefined): Asker {
    if (authorization === undefined || !this.isOn) return anonymous
    return this.#credentials.recall(authorization) ?? anonymous
  }

  may(asker: Asker, repository: string, right: AccessRight): boolean {
    return this.outdated === undefined && this.#rights.may(asker, repository, right)
  }

  mayEverywhere(asker: Asker, right: AccessRight): boolean {
    return this.outdated === undefined && this.#rights.mayEverywhere(asker, right)
  }

  maySomewhere(asker: Asker, right: AccessRight): boolean {
    return this.outdated === undefined && this.#rights.maySomewhere(asker, right)
  }

  mayInCluster(asker: Asker, right: ClusterRight): boolean {
    return this.outdated === undefined && this.#rights.mayInCluster(asker, right)
  }

  issueToken(asker: Asker): { token: string; seconds: number } {
    const account = asker.name === undefined ? undefined : this.#findAccount(asker.name)
    return { token: this.#tokens.issue(account), seconds: tokenMs / 1000 }
  }

  openSession(asker: Asker): SessionSecrets | undefined {
    const account = asker.name === undefined ? undefined : this.#findAccount(asker.name)
    // It may have changed since the asker was found.
    return account === undefined || askerOf(account).key !== asker.key
      ? undefined
      : this.#sessions.open(account)
  }

  askerOfSession(secrets: SessionSecrets): Asker | undefined {
    return this.#sessions.find(secrets)
  }

  closeSession(secrets: SessionSecrets): void {
    this.#sessions.close(secrets)
  }

  [Symbol.dispose](): void {
    this.#unsubscribe()
  }

  #readRights(): Rights {
    const isLost = this.#mark?.isSet === true && this.#names.findRecord({ kind: 'policy' }) === undefined
    const rules = this.#names.policy().access ?? []
    return new Rights(isLost || (this.#needsRules && rules.length === 0) ? forNobody : rules)
  }

  #findAccount(name: string): AccountEntry | undefined {
    if (this.#accounts.has(name)) return this.#accounts.get(name)
    const account = isAccountName(name) ? this.#names.findAccount(name) : undefined
    if (this.#accounts.size >= maxRemembered) this.#accounts.clear()
    this.#accounts.set(name, account)
    return account
  }
}

/**
 * Whose credentials a request brings. What was found right is remembered under a keyed hash of the header, bound to the version
 * of the account that it was right for: a client that asks a thousand times costs one password hash, and a change of the
 * account ends what was remembered.
 */
import { type Clock, RecentMap, SingleFlight } from '../base/base.ts'
import { type AccountEntry, isAccountName, isRobotName } from '../records/records.ts'
import { type Asker, anonymous, askerOf, isUsable } from './asker.ts'
import { Attempts } from './attempts.ts'
import { SignInError } from './errors.ts'
import { KeyedHash } from './keyed-hash.ts'
import { isPassword, isSecret, nobodysPassword, passwordsWaiting } from './secrets.ts'
import { readBearer, type Tokens } from './tokens.ts'

interface Session {
  name: string
  version: string
  asker: Asker
}

interface Given {
  name: string
  password: string
}

interface CredentialsOptions {
  findAccount(name: string): AccountEntry | undefined
  /** How many changes of accounts and of the policy there were. */
  changes(): number
  tokens: Tokens
  /** For durations. */
  steady: Clock
  /** What expiry is compared with. */
  clock: Clock
}

const maxSessions = 4096
const maxHeaderLength = 4096
/** Beyond these, who comes is told to come again: each waits for a hash that takes some 40 ms. */
const maxWaiting = 64
/** The rest is for those who signed in from where they come before: addresses to guess from cost nothing. */
const maxWaitingUnproven = 32
const maxWaitingOfClient = 4
const againMs = 1000
const byAccount = { burst: 10, everyMs: 6_000 }
const byClient = { burst: 20, everyMs: 3_000 }
const nobodysSecret = new Uint8Array(32)

export class Credentials {
  readonly #options: CredentialsOptions
  readonly #hash = new KeyedHash()
  /** By keyed hash of the header as `writeBasic` has it; the longest unused first. */
  readonly #sessions = new RecentMap<string, Session>(maxSessions)
  /** What each connection showed last, which its own reader holds anyway: forgotten with it. */
  readonly #shown = new WeakMap<object, { authorization: string; session: Session }>()
  readonly #checks = new SingleFlight<Asker>()
  /** Addresses and the accounts that signed in from there: nobody keeps them out by guessing elsewhere. */
  readonly #proven = new RecentMap<string, true>(maxSessions)
  /**
   * What was wrong from where, by how many changes of accounts there had been: who says the same again guesses nothing. Any
   * account's change ends it for all, as it would tell of which there are if it did so for one.
   */
  readonly #wrong = new RecentMap<string, number>(maxSessions)
  readonly #waiting = new Map<string, number>()
  readonly #ofAccount: Attempts
  readonly #ofClient: Attempts

  constructor(options: CredentialsOptions) {
    this.#options = options
    this.#ofAccount = new Attempts(byAccount, options.steady)
    this.#ofClient = new Attempts(byClient, options.steady)
  }

  /** Who it is, where the connection showed the same before: a client that goes on asking on it costs no hash at all. */
  recallOn(connection: object, authorization: string): Asker | undefined {
    const shown = this.#shown.get(connection)
    if (shown?.authorization !== authorization || !this.#stands(shown.session)) return undefined
    return shown.session.asker
  }

  /** Who it is, where that was found out before. */
  recall(authorization: string, connection?: object): Asker | undefined {
    if (authorization.length > maxHeaderLength) return undefined
    const bearer = readBearer(authorization)
    if (bearer !== undefined) return this.#ofToken(bearer)
    const key = this.#keyOf(authorization)
    const session = this.#sessions.get(key)
    if (session === undefined) return undefined
    this.#sessions.delete(key)
    if (!this.#stands(session)) return undefined
    this.#sessions.set(key, session)
    if (connection !== undefined) this.#shown.set(connection, { authorization, session })
    return session.asker
  }

  /** Throws SignInError. `client` is where it comes from. */
  async check(authorization: string, client: string): Promise<Asker> {
    const known = this.recall(authorization)
    if (known !== undefined) return known
    const given = readBasic(authorization)
    if (given === undefined)
      throw new SignInError(
        'UNAUTHORIZED',
        'these credentials are no name with a password, and no token of this node that is still good; sign in again',
      )
    // How some clients say that they have none.
    if (given.name === '' && given.password === '') return anonymous
    // However it was written: each way would cost a hash and take the place of somebody who is remembered.
    const written = writeBasic(given)
    const asWritten = written === authorization ? undefined : this.recall(written)
    if (asWritten !== undefined) return asWritten
    // One check for all that come at once with the same.
    const key = this.#keyOf(written)
    const attempt = `${client} ${key}`
    const changes = this.#options.changes()
    if (this.#wrong.get(attempt) === changes) throw this.#refusal(given.name)
    return await this.#checks.run(attempt, async () => {
      const asker = await this.#checkAnew(key, given, client)
      if (asker !== undefined) return asker
      this.#wrong.set(attempt, changes)
      throw this.#refusal(given.name)
    })
  }

  /** `undefined` where it is wrong. */
  async #checkAnew(key: string, { name, password }: Given, client: string): Promise<Asker | undefined> {
    const account = this.#options.findAccount(name)
    // Nobody can guess a robot's secret, nor keep it out by trying.
    const isRobots = isRobotName(name) && isSecretOf(account, password)
    if (!isRobots) this.#refuseMany(name, client)
    const isRight = isRobots || (await this.#within(client, () => isRightFor(name, account, password)))
    // It may have changed while the hash was made.
    const now = this.#options.findAccount(name)
    if (!isRight || account === undefined || now?.version !== account.version || !this.#isUsable(account)) {
      this.#ofAccount.failed(countedAs(name))
      this.#ofClient.failed(client)
      return undefined
    }
    const asker = askerOf(account)
    this.#sessions.set(key, { name, version: account.version, asker })
    this.#proven.set(`${client} ${name}`, true)
    return asker
  }

  #refusal(name: string): SignInError {
    return new SignInError(
      'UNAUTHORIZED',
      'the name or the password is wrong, or the account is disabled or has expired',
      { account: this.#options.findAccount(name)?.name },
    )
  }

  #refuseMany(name: string, client: string): void {
    const isProven = this.#proven.has(`${client} ${name}`)
    const accountMs = isProven ? 0 : this.#ofAccount.waitMs(countedAs(name))
    const failedMs = Math.max(this.#ofClient.waitMs(client), accountMs)
    const isFull = passwordsWaiting() >= (isProven ? maxWaiting : maxWaitingUnproven)
    const isBusy = isFull || (this.#waiting.get(client) ?? 0) >= maxWaitingOfClient
    const retryAfterMs = Math.max(failedMs, isBusy ? againMs : 0)
    if (retryAfterMs === 0) return
    const message =
      failedMs > 0 ? 'too many wrong passwords; try again later' : 'many sign in at once; try again'
    const account = this.#options.findAccount(name)?.name
    throw new SignInError('TOOMANYREQUESTS', message, { account, retryAfterMs })
  }

  async #within(client: string, work: () => Promise<boolean>): Promise<boolean> {
    this.#waiting.set(client, (this.#waiting.get(client) ?? 0) + 1)
    try {
      return await work()
    } finally {
      const left = (this.#waiting.get(client) ?? 1) - 1
      if (left === 0) this.#waiting.delete(client)
      else this.#waiting.set(client, left)
    }
  }

  #ofToken(token: string): Asker | undefined {
    const claims = this.#options.tokens.read(token)
    if (claims === undefined) return undefined
    if (claims === 'anonymous') return anonymous
    const account = this.#options.findAccount(claims.name)
    return account?.version === claims.version && this.#isUsable(account) ? askerOf(account) : undefined
  }

  #stands({ name, version }: Session): boolean {
    const account = this.#options.findAccount(name)
    return account?.version === version && this.#isUsable(account)
  }

  #isUsable(account: AccountEntry): boolean {
    return isUsable(account, this.#options.clock.now())
  }

  #keyOf(authorization: string): string {
    return this.#hash.of(authorization)
  }
}

/** What no account can be called is one name: thousands of them, as long as a header, would be kept otherwise. */
function countedAs(name: string): string {
  return isAccountName(name) ? name : ''
}

/** Takes as long whether there is such an account or not. */
async function isRightFor(
  name: string,
  account: AccountEntry | undefined,
  password: string,
): Promise<boolean> {
  if (isRobotName(name)) return isSecretOf(account, password)
  return await isPassword(
    password,
    account?.value.type === 'person' ? account.value.password : nobodysPassword,
  )
}

function isSecretOf(account: AccountEntry | undefined, secret: string): boolean {
  return isSecret(secret, account?.value.type === 'robot' ? account.value.secret : nobodysSecret)
}

function writeBasic({ name, password }: Given): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
}

/** RFC 7617. */
function readBasic(authorization: string): Given | undefined {
  const [, encoded] = /^basic +([A-Za-z0-9+/]*={0,2}) *$/i.exec(authorization.slice(0, maxHeaderLength)) ?? []
  if (encoded === undefined || authorization.length > maxHeaderLength) return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 0 ? undefined : { name: text.slice(0, colon), password: text.slice(colon + 1) }
}

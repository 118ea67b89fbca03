/** Accounts and rules on the page: for those to whom a rule gives `admin`, and of everybody else what is their own. */
import { hasAccessRules } from '../../network-access.ts'
import type { AccessAnswer, AccountRow, ExplainAnswer, MadeRobotAnswer, MeAnswer } from '../answers/access.ts'
import type { Rows } from '../answers/answer.ts'
import type { PageNode } from '../page.ts'
import { type Change, operateFor } from './changes.ts'
import { PageError } from './page-error.ts'
import type { Query } from './query.ts'
import { flagOf, textOf, textsOf } from './same-origin.ts'
import type { Visitor, Visitors } from './visitors.ts'

const dayMs = 86_400_000
const maxDays = 36_500

export class PageAccounts {
  readonly #node: PageNode
  readonly #visitors: Visitors
  #listed: Promise<AccountRow[]> | undefined

  constructor(node: PageNode, visitors: Visitors) {
    this.#node = node
    this.#visitors = visitors
  }

  /** Follows the ledger until the unsubscriber is called. */
  follow(): () => void {
    return this.#node.names.onChange((keys) => {
      if (keys.some(({ kind }) => kind === 'account')) this.#listed = undefined
    })
  }

  me({ name, groups, administers, admits, ...visitor }: Visitor): MeAnswer {
    const sees = visitor.mayEverywhere('pull')
      ? 'everything'
      : visitor.maySomewhere('pull')
        ? 'some'
        : 'nothing'
    return {
      ...(name === undefined ? {} : { name }),
      groups: [...groups],
      sees,
      administers,
      admits,
      canSignIn: this.#visitors.canSignIn,
      hasRules: hasAccessRules(this.#node.names),
      writesAccounts: this.#node.writesAccounts(),
      writesPolicy: this.#node.names.authority.holds(),
    }
  }

  async list(query: Query, signal: AbortSignal): Promise<Rows<AccountRow>> {
    const { offset, limit } = query.rows()
    const typed = query.typed()
    this.#listed ??= this.#read().catch((error: unknown) => {
      this.#listed = undefined
      throw error
    })
    const all = await this.#listed
    signal.throwIfAborted()
    const matching = typed === '' ? all : all.filter((row) => matches(row, typed))
    return { total: matching.length, offset, rows: matching.slice(offset, offset + limit) }
  }

  rules(): AccessAnswer {
    return { rules: this.#node.names.policy().access ?? [] }
  }

  /** Whoever does not administer learns of themselves, and not by which rule, as that names others. */
  async explain(visitor: Visitor, query: Query, signal: AbortSignal): Promise<ExplainAnswer> {
    const own = visitor.name ?? 'anonymous'
    const who = visitor.administers ? (query.text('who') ?? own) : own
    const repository = query.repository()
    const { may, why } = await this.#node.operate('access-explain', { who, repository }, { signal })
    return { who, repository, may, ...(visitor.administers ? { why } : {}) }
  }

  /** The account's own holder, who has to show the password of before. */
  async changeOwnPassword({ context, visitor, body, signal }: Change): Promise<{ changed: true }> {
    const { name } = visitor
    if (name === undefined) throw new PageError('SIGN_IN', 401, 'sign in first')
    const asker = await this.#visitors.check(context, { name, password: textOf(body, 'current') })
    if (asker.name !== name) throw new PageError('UNAUTHORIZED', 401, 'the password of before is missing')
    const password = textOf(body, 'password')
    await operateFor(this.#node, 'account-password', { name, password }, { context, visitor, signal })
    return { changed: true }
  }

  async add({ body, ...change }: Change): Promise<{ name: string }> {
    const name = textOf(body, 'name')
    const password = textOf(body, 'password')
    await operateFor(this.#node, 'account-add', { name, password, groups: textsOf(body, 'groups') }, change)
    return { name }
  }

  async addRobot({ body, ...change }: Change): Promise<MadeRobotAnswer> {
    const { days } = body
    if (days !== undefined && !isDays(days))
      throw new PageError('BODY', 400, `days is not a number from 1 to ${maxDays}`)
    const note = body.note === undefined ? '' : textOf(body, 'note')
    return await operateFor(
      this.#node,
      'account-robot',
      {
        name: textOf(body, 'name'),
        groups: textsOf(body, 'groups'),
        ...(isDays(days) ? { expiresMs: Date.now() + days * dayMs } : {}),
        ...(note === '' ? {} : { note }),
      },
      change,
    )
  }

  async renew({ body, ...change }: Change): Promise<MadeRobotAnswer> {
    return await operateFor(this.#node, 'account-renew', { name: textOf(body, 'name') }, change)
  }

  async setPassword({ body, ...change }: Change): Promise<{ name: string }> {
    const name = textOf(body, 'name')
    await operateFor(this.#node, 'account-password', { name, password: textOf(body, 'password') }, change)
    return { name }
  }

  async setGroups({ body, ...change }: Change): Promise<{ name: string }> {
    const name = textOf(body, 'name')
    await operateFor(this.#node, 'account-groups', { name, groups: textsOf(body, 'groups') }, change)
    return { name }
  }

  async disable({ body, ...change }: Change): Promise<{ name: string }> {
    const name = textOf(body, 'name')
    await operateFor(this.#node, 'account-disable', { name, disabled: flagOf(body, 'disabled') }, change)
    return { name }
  }

  async remove({ body, ...change }: Change): Promise<{ name: string }> {
    return await operateFor(this.#node, 'account-rm', { name: textOf(body, 'name') }, change)
  }

  async #read(): Promise<AccountRow[]> {
    const rows: AccountRow[] = []
    const { signal } = new AbortController()
    for (let after: string | undefined; ; ) {
      const params = after === undefined ? {} : { after }
      const { accounts, next } = await this.#node.operate('account-ls', params, { signal })
      rows.push(...accounts)
      if (next === undefined) return rows
      after = next
    }
  }
}

function isDays(days: unknown): days is number {
  return typeof days === 'number' && Number.isInteger(days) && days >= 1 && days <= maxDays
}

function matches({ name, groups, note = '' }: AccountRow, typed: string): boolean {
  return [name, note.toLowerCase(), ...groups].some((text) => text.includes(typed))
}

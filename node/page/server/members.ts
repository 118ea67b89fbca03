/** Members and invitations on the page: seen by those who may read everything, too, changed by those to whom a rule gives `members`. */
import { count, type Kind, lifetime, word } from '../../settings/kinds.ts'
import type {
  InvitationRow,
  InvitationsAnswer,
  MadeInvitationAnswer,
  MembersAnswer,
} from '../answers/members.ts'
import type { PageNode } from '../page.ts'
import { type Change, operateFor } from './changes.ts'
import { PageError } from './page-error.ts'
import { type Body, flagOf, textOf } from './same-origin.ts'

const maxMembers = 1_000

interface Changed {
  peer: string
}

export class PageMembers {
  readonly #node: PageNode

  constructor(node: PageNode) {
    this.#node = node
  }

  async list(signal: AbortSignal): Promise<MembersAnswer> {
    const { mode, self, members } = await this.#node.operate('members', {}, { signal })
    const isCut = members.length > maxMembers
    return { mode, self, ...(isCut ? { isCut } : {}), members: members.slice(0, maxMembers) }
  }

  async invitations(signal: AbortSignal): Promise<InvitationsAnswer> {
    return await this.#node.operate('token-ls', {}, { signal })
  }

  async approve(change: Change): Promise<Changed> {
    const { name } = change.body
    const named = name === undefined || name === '' ? {} : { name: textOf(change.body, 'name') }
    return await operateFor(
      this.#node,
      'member-approve',
      { who: textOf(change.body, 'peer'), ...named },
      change,
    )
  }

  async ban(change: Change): Promise<Changed> {
    const { body } = change
    const params = { who: textOf(body, 'peer'), banned: flagOf(body, 'banned'), drop: flagOf(body, 'drop') }
    const { peer } = await operateFor(this.#node, 'member-ban', params, change)
    return { peer }
  }

  async forget(change: Change): Promise<Changed> {
    return await operateFor(this.#node, 'member-forget', { who: textOf(change.body, 'peer') }, change)
  }

  async rename(change: Change): Promise<Changed> {
    const { body } = change
    return await operateFor(
      this.#node,
      'member-rename',
      { who: textOf(body, 'peer'), name: textOf(body, 'name') },
      change,
    )
  }

  async invite(change: Change): Promise<MadeInvitationAnswer> {
    const { body } = change
    const site = body.site === undefined || body.site === '' ? {} : { site: parsed(word, body, 'site') }
    const { token, invitation } = await operateFor(
      this.#node,
      'token-create',
      {
        expiresMs: parsed(lifetime, body, 'expires'),
        uses: parsed(count, body, 'uses'),
        approved: flagOf(body, 'approved'),
        ...site,
      },
      change,
    )
    return { token, invitation }
  }

  async revoke(change: Change): Promise<InvitationRow> {
    return await operateFor(this.#node, 'token-revoke', { id: textOf(change.body, 'id') }, change)
  }
}

/** As the command line reads the flag of the name. */
function parsed<T>(kind: Kind<T>, body: Body, name: string): T {
  const text = textOf(body, name).trim()
  try {
    return kind(text)
  } catch (cause) {
    const expected = cause instanceof Error ? cause.message : ''
    throw new PageError('BODY', 400, `${name} is not ${expected}`, { cause })
  }
}

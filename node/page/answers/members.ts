/** What the API answers about members and invitations. */
import type { ShownInvitation, ShownMember } from '../../operations/shown.ts'

export type { ShownInvitation as InvitationRow, ShownMember as MemberRow } from '../../operations/shown.ts'

export interface MembersAnswer {
  /** `token`: whoever has it is a member; `approved`: a guest until somebody says so. */
  mode: 'token' | 'approved'
  self: string
  /** There are more than these. */
  isCut?: true
  members: ShownMember[]
}

export interface InvitationsAnswer {
  invitations: ShownInvitation[]
}

export interface MadeInvitationAnswer {
  /** Told this once. */
  token: string
  invitation: ShownInvitation
}

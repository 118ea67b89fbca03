/** Who looks at the page, and what the API answers about accounts and rules. */
export type { ShownAccount as AccountRow } from '../../operations/shown.ts'

/** Who looks at the page. */
export interface MeAnswer {
  /** Of the account; absent for who did not sign in. */
  name?: string
  groups: string[]
  /** Of the images; only who sees everything is shown the cluster and the node as well. */
  sees: 'everything' | 'some' | 'nothing'
  /** Whether accounts and rules are shown, and accounts may be changed as far as this node can. */
  administers: boolean
  /** The same of members and invitations. */
  admits: boolean
  /** Whether there are accounts or rules at all. */
  canSignIn: boolean
  /** Whether there are access rules; while there are none everybody may everything, with an account or without. */
  hasRules: boolean
  /** Whether what this node signs counts for accounts, members and invitations. */
  writesAccounts: boolean
  /** Whether it counts for the policy, which bans. */
  writesPolicy: boolean
}

export interface SignedInAnswer {
  /** To be sent back with every request, in `X-Shoal-Session`. */
  seal: string
}

export interface MadeRobotAnswer {
  name: string
  /** Told this once. */
  secret: string
  expiresMs?: number
}

export interface AccessAnswer {
  rules: { repositories: string; who: string[]; may: string[] }[]
}

export interface ExplainAnswer {
  who: string
  repository: string
  may: string[]
  /** Absent for who may not know the rules. */
  why?: string
}

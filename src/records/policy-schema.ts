/** A policy as it stands in a record: rules, immutable patterns, who seals what they protect, and banned authors. */
import { bytes, type Infer, list, optional, struct, text, uint } from '../wire/wire.ts'
import { maxAccessAgeMs } from './access-age.ts'
import { maxCopies } from './placement-rule.ts'
import { handoverSchema, maxGrantBytes, maxHandovers } from './succession.ts'

const pattern = text({ max: 256 })
const author = bytes({ length: 32 })

/** `may` adds up bits, and names are short: a thousand have to fit into a record (see access-rule.ts). */
const accessValue = struct({ at: pattern, who: list(text({ max: 72 }), { max: 64 }), may: uint({ max: 31 }) })

/** What the repositories that match may have together. */
const quotaValue = struct({ repositories: pattern, bytes: optional(uint()), tags: optional(uint()) })

export type QuotaValue = Infer<typeof quotaValue>

/** Which of their tags stay. */
const retentionValue = struct({
  repositories: pattern,
  keepTags: optional(uint()),
  keepMatching: optional(list(pattern, { max: 64 })),
  keepWithinMs: optional(uint()),
  keepPulledWithinMs: optional(uint()),
})

export type RetentionValue = Infer<typeof retentionValue>

export type AccessValue = Infer<typeof accessValue>

export const policySchema = struct({
  rules: list(struct({ repositories: pattern, authors: list(author, { max: 512 }) }), { max: 512 }),
  /** `since` is when the pattern first stood in a policy, in milliseconds. */
  immutable: list(struct({ repositories: pattern, tags: pattern, since: uint() }), { max: 512 }),
  /** Absent in what was written before there were any. */
  sealers: optional(list(author, { max: 64 })),
  banned: list(author, { max: 1024 }),
  /** Who may write accounts beside the authority. */
  administrators: optional(list(author, { max: 64 })),
  /** Members have to be approved: since when, and those that were there then. Absent where the token is enough. */
  members: optional(struct({ since: uint(), founders: list(author, { max: 1024 }) })),
  /** Which people may do what. */
  access: optional(list(accessValue, { max: 1024 })),
  /** For how long `access` counts at a node that hears from no member, in milliseconds. */
  accessMaxAge: optional(uint({ max: maxAccessAgeMs })),
  /** A grant of who signs it (succession.ts): who may replace it when its key is lost. */
  recovery: optional(bytes({ max: maxGrantBytes })),
  /** How the authority came from the key that the token names to the one that signs this. */
  handovers: optional(list(handoverSchema, { max: maxHandovers })),
  quotas: optional(list(quotaValue, { max: 256 })),
  retention: optional(list(retentionValue, { max: 256 })),
  /** How many members hold what. */
  placement: optional(
    list(
      struct({
        at: pattern,
        copies: uint({ max: maxCopies }),
        ack: optional(uint({ max: maxCopies })),
      }),
      { max: 256 },
    ),
  ),
  copies: optional(uint({ max: maxCopies })),
})

export type PolicyValue = Infer<typeof policySchema>

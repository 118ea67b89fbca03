/** A policy as it stands in a record: rules, immutable patterns, who seals what they protect, and banned authors. */
import { bytes, type Infer, list, optional, struct, text, uint } from '../wire/wire.ts'

const pattern = text({ max: 256 })
const author = bytes({ length: 32 })

export const policySchema = struct({
  rules: list(struct({ repositories: pattern, authors: list(author, { max: 512 }) }), { max: 512 }),
  /** `since` is when the pattern first stood in a policy, in milliseconds. */
  immutable: list(struct({ repositories: pattern, tags: pattern, since: uint() }), { max: 512 }),
  /** Absent in what was written before there were any. */
  sealers: optional(list(author, { max: 64 })),
  banned: list(author, { max: 1024 }),
})

export type PolicyValue = Infer<typeof policySchema>

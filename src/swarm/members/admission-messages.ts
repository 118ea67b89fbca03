/** What a newcomer says of itself, and what it is told: see admission.ts. */
import {
  bytes,
  codec,
  type Infer,
  list,
  literal,
  optional,
  struct,
  text,
  uint,
  variant,
} from '../../wire/wire.ts'
import { checkMultiaddr } from '../cluster/token.ts'

export const admissionProtocol = '/shoal/admission/1.0.0'
export const maxAdmissionBytes = 4096
export const maxAddressesOffered = 4
export const maxOfferedLength = 256
const maxReason = 512

const introduction = struct({
  /** Where it can be dialled once it is a member. */
  addresses: list(text({ max: maxOfferedLength, parse: checkMultiaddr }), { max: maxAddressesOffered }),
  name: optional(text({ max: 64 })),
  /** That it has an invitation, in the words of that one's key. */
  proof: optional(bytes({ max: 256 })),
  site: optional(text({ max: 64 })),
})
export type Introduction = Infer<typeof introduction>
export const introductionMessage = codec(introduction, { maxBytes: maxAdmissionBytes })

const why = text({ max: maxReason })
const verdict = variant('kind', {
  /** The secret is for who came by an invitation. */
  member: struct({
    kind: literal('member'),
    generation: optional(uint()),
    secret: optional(bytes({ length: 32 })),
  }),
  guest: struct({ kind: literal('guest'), why }),
  refused: struct({ kind: literal('refused'), why }),
})
export type AdmissionVerdict = Infer<typeof verdict>
export const verdictMessage = codec(verdict, { maxBytes: maxAdmissionBytes })

/**
 * Who may: accounts, the credentials that prove them, and the rules about what people may do. While a cluster has neither
 * accounts nor rules, everybody may everything, and nobody's credentials are looked at.
 */
export type { AccessRight } from '../records/records.ts'
export { type Asker, anonymous, askerOf } from './asker.ts'
export { type Access, openAccess } from './door.ts'
export { SignInError } from './errors.ts'
export { type Explanation, explainAccess } from './rights.ts'
export { hashPassword, hashSecret, makeSecret } from './secrets.ts'
export type { SessionSecrets } from './sessions.ts'

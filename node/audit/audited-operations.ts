/** Which operations change what others see, and what of them stands in the audit log: never what proves who somebody is. */
import type { OperationName, OperationTypes } from '../operations/operations.ts'
import type { AuditEvent, AuditLog } from './audit-log.ts'

type Facts = Record<string, unknown>

const audited: {
  [N in OperationName]?: (params: OperationTypes[N]['params'], result: OperationTypes[N]['result']) => Facts
} = {
  'account-add': ({ name, groups }) => ({ name, groups }),
  'account-robot': ({ groups, expiresMs, note }, { name }) => ({ name, groups, expiresMs, note }),
  'account-password': ({ name }) => ({ name }),
  'account-renew': ({ name }) => ({ name }),
  'account-groups': ({ name, groups }) => ({ name, groups }),
  'account-disable': ({ name, disabled }) => ({ name, disabled }),
  'account-rm': ({ name }) => ({ name }),
  'record-submit': (_params, { kind, name, author }) => ({ kind, name, author }),
  'policy-set': (_params, policy) => ({ policy }),
  'policy-ban': ({ peer, banned, drop }) => ({ peer, banned, drop }),
  'authority-export': ({ drop }) => ({ drop }),
  'authority-import': () => ({}),
  'authority-rotate': (_params, { now }) => ({ to: now }),
  'authority-follow': ({ peer }) => ({ peer }),
  'authority-propose': (_params, { from, to }) => ({ from, to }),
  'authority-sign': ({ proposal: { from, to } }) => ({ from, to }),
  'authority-apply': ({ proposal: { from, to } }) => ({ from, to }),
  'member-approve': ({ name }, { peer }) => ({ peer, name }),
  'member-ban': ({ banned, drop }, { peer, changed }) => ({ peer, banned, drop, changed }),
  'member-forget': (_params, { peer }) => ({ peer }),
  'member-rename': ({ name }, { peer }) => ({ peer, name }),
  'token-create': ({ uses, approved, site }, { invitation: { id, expiresMs } }) => ({
    invitation: id,
    uses,
    approved,
    site,
    expiresMs,
  }),
  'token-revoke': (_params, { id }) => ({ invitation: id }),
  'token-rotate': () => ({}),
  drain: (_params, { images, left }) => ({ images, left: left.length }),
  tag: ({ source, target, asAuthority }) => ({ source, target, asAuthority }),
  remove: ({ image, asAuthority }) => ({ image, asAuthority }),
  'import-tag': ({ repository, tag, digest }) => ({ repository, tag, digest }),
}

/** Who asks for an operation, and from where. */
export type Origin = Pick<AuditEvent, 'account' | 'from'>

const command: Origin = { from: 'admin.sock' }

/** Of one that ended well. */
export function auditOperation(
  audit: AuditLog,
  name: OperationName,
  { params, result }: { params: unknown; result: unknown },
  origin = command,
): void {
  const facts = audited[name] as ((params: unknown, result: unknown) => Facts) | undefined
  const isTrial =
    typeof params === 'object' && params !== null && 'dryRun' in params && params.dryRun === true
  if (facts !== undefined && !isTrial) audit.write({ action: name, ...origin, ...facts(params, result) })
}

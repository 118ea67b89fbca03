/** Operations on accounts, members and invitations whose records a command has signed with an administrator's own key. */
import { CodedError } from '../../src/base/base.ts'
import { isAccountName, readAccount, readRecordAuthor, readRecordKey } from '../../src/records/records.ts'
import { hasAccessRules } from '../network-access.ts'
import { checkRoom } from './account.ts'
import { checkRoom as checkInvitations } from './invitation.ts'
import type { Operation } from './operations.ts'

/** The cluster does not take the record. */
class RecordUnwantedError extends CodedError {
  readonly code = 'RECORD_UNWANTED'
}

/** The records of those accounts that have one, in Base64. */
export const findAccountRecords: Operation<'account-records'> = async ({ node, serving }, { names }) => {
  const records: Record<string, string> = {}
  for (const name of names.filter(isAccountName)) {
    const record = node.names.findRecord({ kind: 'account', name })
    if (record !== undefined) records[name] = Buffer.from(record).toString('base64')
  }
  return {
    records,
    hasRules: hasAccessRules(node.names),
    ...(serving === undefined ? {} : { http: serving.http }),
  }
}

export const submitRecord: Operation<'record-submit'> = async ({ node }, params) => {
  const { names, membersTime } = node
  const record = Buffer.from(params.record, 'base64')
  const key = readRecordKey(record)
  if (key.kind !== 'account' && key.kind !== 'member' && key.kind !== 'invitation')
    throw new RecordUnwantedError('the record is about no account, no member and no invitation')
  const name = key.kind === 'account' ? key.name : key.kind === 'member' ? key.peer : key.id
  if (
    key.kind === 'account' &&
    readAccount(record) !== undefined &&
    names.findAccount(key.name) === undefined
  )
    await checkRoom(node)
  const { invitations } = names.roster()
  if (key.kind === 'invitation' && !invitations.has(key.id)) checkInvitations(invitations.values())
  const clockProblem = membersTime.problem()
  if (clockProblem !== undefined) throw new RecordUnwantedError(clockProblem)
  const { applied, beaten, refused } = await names.apply([record], { wanted: () => true, isOwn: true })
  if (applied > 0) return { kind: key.kind, name, author: readRecordAuthor(record) }
  if (beaten.length > 0)
    throw new RecordUnwantedError(`${name} was changed by somebody else meanwhile; look at it, and try again`)
  const [reason = 'refused'] = Object.keys(refused)
  throw new RecordUnwantedError(reasons[reason] ?? `the record is ${reason}`)
}

const reasons: Partial<Record<string, string>> = {
  policy:
    'the policy does not name the key among its "administrators" (shoal policy show), or this node has not heard of it yet',
  ahead: 'the clock of the host on which the record was signed is ahead',
  signature: 'its signature is wrong',
}

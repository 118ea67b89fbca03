/** Which function does which operation, and how one is asked for by its name: over the socket, by the page, or on a stopped node's data. */
import { auditOperation } from '../audit/audited-operations.ts'
import { UsageError } from '../settings/settings.ts'
import {
  addAccount,
  addRobot,
  disableAccount,
  explain,
  listAccounts,
  onNode,
  removeAccount,
  renewSecret,
  setGroups,
  setPassword,
} from './account.ts'
import { findRecords, importBlob, importManifest, importTag, listMissing } from './archive.ts'
import {
  applyProposal,
  exportAuthorityKey,
  followAuthority,
  importAuthorityKey,
  proposeAuthority,
  rotateAuthority,
  showAuthority,
  signByNode,
} from './authority.ts'
import { listPeers, readToken, rotateToken } from './cluster.ts'
import { drainNode } from './drain.ts'
import { evictImages } from './evict.ts'
import { inspectImage } from './inspect.ts'
import { createInvitation, findInvitation, listInvitations, revokeInvitation } from './invitation.ts'
import { addRule, listRules, removeRules } from './keep.ts'
import { listPage, showDiskUse } from './listing.ts'
import {
  approveMember,
  banMember,
  callPeers,
  findMember,
  forgetMember,
  listMembers,
  onNode as membersOnNode,
  renameMember,
} from './member.ts'
import type { Operation, OperationContext, OperationName } from './operations.ts'
import { changeBan, planPolicy, setPolicy, showPolicy } from './policy.ts'
import { tellReach } from './reach.ts'
import { removeImage } from './remove.ts'
import { retain } from './retention.ts'
import { planRoom } from './room.ts'
import { findAccountRecords, submitRecord } from './signed-record.ts'
import { showStatus } from './status.ts'
import { collect, verify } from './store.ts'
import { tagImage } from './tag.ts'
import { listUpstreams, showClientConfig } from './upstreams.ts'
import { warmImages } from './warm.ts'

const operations: { [N in OperationName]: Operation<N> } = {
  gc: collect,
  'gc-plan': planRoom,
  evict: evictImages,
  retention: retain,
  verify,
  ls: listPage,
  du: showDiskUse,
  status: showStatus,
  reach: tellReach,
  inspect: inspectImage,
  tag: tagImage,
  remove: removeImage,
  token: readToken,
  'token-create': createInvitation,
  'token-ls': listInvitations,
  'token-find': findInvitation,
  'token-revoke': revokeInvitation,
  'token-rotate': rotateToken,
  peers: listPeers,
  members: listMembers,
  called: callPeers,
  'member-find': findMember,
  'member-approve': membersOnNode(approveMember),
  'member-forget': membersOnNode(forgetMember),
  'member-rename': membersOnNode(renameMember),
  'member-ban': banMember,
  upstreams: listUpstreams,
  'client-config': showClientConfig,
  'policy-show': showPolicy,
  'policy-plan': planPolicy,
  'policy-set': setPolicy,
  'policy-ban': changeBan,
  'authority-export': exportAuthorityKey,
  'authority-import': importAuthorityKey,
  'authority-show': showAuthority,
  'authority-rotate': rotateAuthority,
  'authority-follow': followAuthority,
  'authority-propose': proposeAuthority,
  'authority-sign': signByNode,
  'authority-apply': applyProposal,
  'account-add': onNode(addAccount),
  'account-robot': onNode(addRobot),
  'account-password': onNode(setPassword),
  'account-renew': onNode(renewSecret),
  'account-groups': onNode(setGroups),
  'account-disable': onNode(disableAccount),
  'account-rm': onNode(removeAccount),
  'account-records': findAccountRecords,
  'record-submit': submitRecord,
  'account-ls': listAccounts,
  'access-explain': explain,
  'keep-add': addRule,
  'keep-rm': removeRules,
  'keep-ls': listRules,
  warm: warmImages,
  drain: drainNode,
  records: findRecords,
  'import-missing': listMissing,
  'import-blob': importBlob,
  'import-manifest': importManifest,
  'import-tag': importTag,
}

/** Throws UsageError for a name that is no operation, as an older or newer command may send it. */
export async function runOperation(
  context: OperationContext,
  name: string,
  params: unknown,
  emit: (event: unknown) => void,
  options: { signal: AbortSignal },
): Promise<unknown> {
  if (!Object.hasOwn(operations, name)) {
    throw new UsageError(
      `this node knows no operation "${name}"; is the command of another version than the node?`,
    )
  }
  // The command that sends the parameters is this program; a stranger cannot open the socket.
  const operation = operations[name as OperationName] as Operation<OperationName>
  const result = await operation(context, params as never, emit, options)
  auditOperation(context.node.audit, name as OperationName, { params, result }, context.origin)
  return result
}

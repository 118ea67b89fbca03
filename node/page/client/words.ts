/** The page's answers in sentences: the cluster, what moves, and what can be freed. */
import type { AccountRow, ExplainAnswer } from '../answers/access.ts'
import type { EvictedAnswer } from '../answers/images.ts'
import type { ConditionFacts, StateEvent } from '../answers/live.ts'
import type { InvitationRow, MemberRow, MembersAnswer } from '../answers/members.ts'
import type { RuleFacts, StorageAnswer, UpstreamFacts } from '../answers/storage.ts'
import {
  formatBytes,
  formatCount,
  formatList,
  formatNumber,
  formatRate,
  formatSpan,
  formatTime,
} from './format.ts'
import type { NameOf } from './member-names.ts'

export function clusterInWords(
  { members, lost }: Pick<StateEvent, 'members' | 'lost'>,
  nameOf: NameOf,
): string {
  const count = members.length
  if (lost.length > 0) {
    const names = formatList(lost.map(({ peer }) => nameOf(peer)))
    const present = count === 1 ? 'This node is by itself' : `${formatCount(count, 'member')} connected`
    return `${present}; ${names} ${lost.length === 1 ? 'is' : 'are'} out of reach.`
  }
  return count === 1 ? 'This node is by itself.' : `${count} members, all connected.`
}

export function movementInWords({ transfers, flows }: Pick<StateEvent, 'transfers' | 'flows'>): string {
  const total = flows.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0)
  if (transfers.length === 0)
    return total > 0 ? `${formatRate(total)} between members.` : 'Nothing moves right now.'
  const what = formatCount(transfers.length, 'blob is', 'blobs are')
  return `${what} on the way${total > 0 ? `, ${formatRate(total)} in all` : ''}.`
}

/** A member's disk, by its own word. */
export function diskInWords({ free, total, filled, limit }: NonNullable<ConditionFacts['disk']>): string {
  const disk = `${formatBytes(free)} of ${formatBytes(total)} free`
  if (filled === undefined || limit === undefined) return disk
  return `${disk}; ${formatBytes(filled)} of the ${formatBytes(limit)} that it may fill are filled`
}

/** The answer to "what can I free?". */
export function freeableInWords({ now, later, graceMs, blobs }: StorageAnswer): string {
  if (now.bytes > 0) {
    return `${formatBytes(now.bytes)} can be freed now: ${formatCount(now.blobs, 'blob')} and ${formatCount(now.manifests, 'manifest')} that nothing refers to.`
  }
  if (later.bytes > 0) {
    return `Nothing can be freed now; ${formatBytes(later.bytes)} that nothing refers to can go ${formatSpan(graceMs)} after the last use.`
  }
  return blobs === 0 ? 'Nothing is stored here yet.' : 'Everything that is stored here is in use.'
}

export function evictedInWords({ blobs, bytes, shared }: Omit<EvictedAnswer, 'holders'>): string {
  const stayed = shared === 0 ? '' : ` Other images here need ${formatCount(shared, 'blob')} of it.`
  return blobs === 0
    ? `Nothing was freed.${stayed}`
    : `Freed ${formatBytes(bytes)}, ${formatCount(blobs, 'blob')}.${stayed}`
}

export function roomInWords({ freeBytes, totalBytes, minFreeBytes }: StorageAnswer): string {
  const free = `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} are free on this disk.`
  return freeBytes < minFreeBytes
    ? `${free} Uploads are refused below ${formatBytes(minFreeBytes)}: free something.`
    : `${free} Uploads are refused below ${formatBytes(minFreeBytes)}.`
}

/** What is short of copies. */
export function shortInWords({ images, list }: StorageAnswer['short']): string {
  if (images === 0) return 'Every image that this node owns or that was pushed to it has its copies.'
  const names = formatList([...new Set(list.map(({ repository }) => repository))])
  return `${formatCount(images, 'image is', 'images are')} short of copies: of ${names}.`
}

/** Whether this node holds what it was told to keep. */
export function rulesInWords(rules: readonly RuleFacts[]): string {
  if (rules.length === 0) return 'This node keeps nothing beyond what it was asked for.'
  const images = rules.reduce((sum, rule) => sum + rule.images, 0)
  const complete = rules.reduce((sum, rule) => sum + rule.complete, 0)
  const missing = rules.reduce((sum, rule) => sum + rule.missingBytes, 0)
  if (images === 0) return `${formatCount(rules.length, 'rule')}, and no image that they match yet.`
  if (complete === images)
    return `Everything that is to be kept here is here: ${formatCount(images, 'image')}.`
  const bytes = missing > 0 ? `; ${formatBytes(missing)} are missing, as far as is known` : ''
  return `${complete} of ${formatCount(images, 'image')} are complete${bytes}.`
}

export function upstreamsInWords(upstreams: readonly UpstreamFacts[], nowMs: number): string {
  if (upstreams.length === 0) return 'This node fetches from no registry outside the cluster.'
  const away = upstreams.filter(({ reachable }) => reachable === false)
  if (away.length > 0) {
    const names = formatList(away.map(({ name }) => name))
    return `${names} cannot be reached; what the cluster holds of ${away.length === 1 ? 'it' : 'them'} is served.`
  }
  const paused = upstreams.filter(({ pausedUntilMs = 0 }) => pausedUntilMs > nowMs)
  if (paused.length > 0) return `${formatList(paused.map(({ name }) => name))} asked to wait.`
  return upstreams.some(({ reachable }) => reachable === true)
    ? 'Every upstream that was asked has answered.'
    : 'No upstream was asked yet.'
}

/** As `shoal token ls` says it. */
export function invitationState(
  { revokedMs, expiresMs, admitted, uses }: InvitationRow,
  nowMs: number,
): 'revoked' | 'expired' | 'used up' | 'good' {
  if (revokedMs !== undefined) return 'revoked'
  if (expiresMs <= nowMs) return 'expired'
  return admitted.length >= uses ? 'used up' : 'good'
}

/** Who is a member, and how one becomes one. */
export function membersInWords({ mode, members }: MembersAnswer): string {
  const count = (...states: MemberRow['state'][]) =>
    members.filter(({ state }) => states.includes(state)).length
  const away = count('away')
  const guests = count('guest')
  const there = [
    `${formatCount(count('member', 'approved'), 'member is', 'members are')} here`,
    ...(away === 0 ? [] : [`${formatNumber(away)} away`]),
    ...(guests === 0 ? [] : [`${formatCount(guests, 'guest waits', 'guests wait')} for an approval`]),
  ]
  const how =
    mode === 'approved'
      ? 'Who comes is a guest until somebody approves it.'
      : 'Whoever has the token is a member.'
  return `${formatList(there)}. ${how}`
}

/** What a ban does and what it does not, as `shoal member ban` says it. */
export function banInWords(mode: MembersAnswer['mode'], drop: boolean): string[] {
  return [
    'Members refuse its connections from then on, and what it publishes does not count.',
    drop
      ? 'What it had published goes away everywhere within two hours, but for what others refer to.'
      : 'What it had published stays.',
    'It keeps what it has on its disk, and what was pulled from it is not taken back.',
    mode === 'approved'
      ? 'With a new key it is a guest.'
      : 'Whoever has the token is a member again with a new key: to keep them out, rotate the token (shoal token rotate).',
  ]
}

/** As `shoal access explain` says it. */
export function explainInWords({ who, repository, may, why }: ExplainAnswer): string {
  const rights = may.length === 0 ? 'nothing' : may.join(', ')
  return `${who} may ${rights} in ${repository}${why === undefined ? '' : `: ${why}`}.`
}

/** As `shoal account ls` says it. */
export function accountState(
  { disabledMs, expiresMs }: Pick<AccountRow, 'disabledMs' | 'expiresMs'>,
  nowMs: number,
): string {
  if (disabledMs !== undefined) return 'disabled'
  if (expiresMs === undefined) return 'active'
  return expiresMs <= nowMs ? 'expired' : `until ${formatTime(expiresMs)}`
}

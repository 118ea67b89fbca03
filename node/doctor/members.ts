/** Whether the members of the cluster can be reached. */
import { connect } from 'node:net'
import { findCluster } from '../../src/swarm/cluster/cluster.ts'
import { formatCount } from '../screen/output.ts'
import { type Check, type Finding, fault, fine, isRefusal, note } from './check.ts'

export interface Dialled {
  peer: string
  /** HOST:PORT. */
  address: string
  /** What TCP alone says of it. */
  outcome: 'open' | 'silent' | 'refused' | 'unroutable'
}

export interface MembersFacts {
  isRunning: boolean
  /** How many are connected. */
  connected: number
  /** Another node runs with this one's identity. */
  isCloned: boolean
  /** This node, for who has to find the other. */
  self?: { peer: string; name: string }
  /** How many that are not connected were replaced by others. */
  replaced?: number
  /** That this node is, and what lifts it, in words. */
  banned?: { found: string; advice: string }
  /** Those known and not connected, by their addresses. */
  dialled: Dialled[]
}

export function judgeMembers({ isCloned, self, ...facts }: MembersFacts): Finding[] {
  const findings = judgeReach(facts)
  const whose = self === undefined ? "this one's identity" : `the identity of ${self.name} (${self.peer})`
  const advice = 'stop one of them, remove identity from its data directory, and start it again'
  return isCloned
    ? [fault(`a second node runs with ${whose}, as after copying a host with its data`, advice), ...findings]
    : findings
}

function judgeReach({
  isRunning,
  connected,
  dialled,
  banned,
  replaced = 0,
}: Omit<MembersFacts, 'isCloned' | 'self'>): Finding[] {
  // Who answers and refuses does so for the ban; what the network lacks is to be mended besides.
  if (banned !== undefined) {
    const shut = dialled.filter(
      ({ peer }) => !dialled.some((one) => one.peer === peer && one.outcome === 'open'),
    )
    return [fault(banned.found, banned.advice), ...judgeEach(shut, { isRunning, hasOthers: true })]
  }
  const alone = isRunning && connected === 0
  if (dialled.length === 0) {
    if (!isRunning) return []
    return alone
      ? [
          note(
            'this node is the only one it knows of',
            'on another host: shoal serve --join TOKEN (see shoal token)',
          ),
        ]
      : [
          fine(
            `${formatCount(connected, 'member')} connected, and none missing${replaced === 0 ? '' : ` but ${replaced} that another took the place of`}`,
          ),
        ]
  }
  const findings = judgeEach(dialled, { isRunning, hasOthers: connected > 0 })
  // Of a single one there is nothing more to say than what was found of it.
  if (alone && findings.length > 1) {
    findings.unshift(
      fault(
        'no member is connected, though this node knows of some',
        'what follows says why, member by member',
      ),
    )
  } else if (isRunning && !alone) findings.unshift(fine(`${formatCount(connected, 'member')} connected`))
  return findings
}

function judgeEach(
  dialled: Dialled[],
  { isRunning, hasOthers }: { isRunning: boolean; hasOthers: boolean },
): Finding[] {
  const members = [...Map.groupBy(dialled, ({ peer }) => peer)]
  const cut = members.flatMap(([, tried]) => {
    const isCut = tried.every(({ outcome }) => outcome === 'silent' || outcome === 'unroutable')
    return isCut ? tried.slice(0, 1) : []
  })
  const together = cut.length > 1 ? cut : []
  const alone = members.filter(([peer]) => !together.some((one) => one.peer === peer))
  return [
    ...alone.map(([peer, tried]) => judgeMember(peer, tried, isRunning, hasOthers)),
    ...(together.length === 0 ? [] : [judgeCut(together, { isAll: !hasOthers && alone.length === 0 })]),
  ]
}

const shownCut = 8

/** Several at once are rather a line than hosts. */
function judgeCut(lost: Dialled[], { isAll }: { isAll: boolean }): Finding {
  const named = lost.slice(0, shownCut).map(({ peer, address }) => `${peer} at ${address}`)
  const more = lost.length > shownCut ? ` and ${lost.length - shownCut} more` : ''
  const ports = new Set(lost.map(({ address }) => address.slice(address.lastIndexOf(':') + 1)))
  return fault(
    `${isAll ? `none of ${lost.length} members answers` : `${lost.length} members do not answer`}: ${named.join(', ')}${more}; the line between is cut, a firewall drops it, or the hosts are down`,
    `look at this host's network (ip route, ping); allow TCP port ${[...ports].slice(0, shownCut).join(', ')} in both directions between all members; forget hosts that do not come back (shoal member forget)`,
  )
}

/** The best of its addresses counts. A member that is switched off is no fault of this host while others are there. */
function judgeMember(peer: string, tried: Dialled[], isRunning: boolean, hasOthers: boolean): Finding {
  const at = (outcome: Dialled['outcome']): string | undefined =>
    tried.find((one) => one.outcome === outcome)?.address
  const open = at('open')
  if (open !== undefined) {
    return isRunning
      ? fault(
          `${peer} answers at ${open} and does not become a member`,
          'it has another cluster or another secret (was the token rotated while this node was away? join again), one of the two is banned, its process hangs, or one runs an earlier version that cannot read what the other writes: upgrade both, and see its log',
        )
      : fine(`${peer} answers at ${open}`)
  }
  const silent = at('silent')
  if (silent !== undefined) {
    return fault(
      `${peer} does not answer at ${silent}: a firewall between the hosts drops it, or the host is down`,
      `allow TCP port ${silent.slice(silent.lastIndexOf(':') + 1)} in both directions between all members`,
    )
  }
  const unroutable = at('unroutable')
  if (unroutable !== undefined) {
    return fault(
      `there is no way to ${unroutable} (${peer}) from this host`,
      'look at the routes (ip route) and at the network of this host',
    )
  }
  const refused = `${peer} refuses connections at ${at('refused')}: no node listens there, or a firewall rejects them`
  const advice = 'start the node there: shoal serve; or look at its firewall'
  return hasOthers ? note(refused, advice) : fault(refused, advice)
}

const dialMs = 2_000
const maxDialled = 32

export const members: Check = {
  name: 'members',
  async examine({ settings, node }, { signal }) {
    const known = node?.reach.known ?? (await rememberedIn(settings.data, settings.bootstrap))
    const targets = known
      .flatMap(({ peer, addresses }) =>
        addresses.flatMap((address) => {
          const target = targetOf(address)
          return target === undefined ? [] : [{ peer, ...target }]
        }),
      )
      .slice(0, maxDialled)
    const dialled = await Promise.all(targets.map((target) => dial(target, signal)))
    const connected = node?.status.cluster.members.length ?? 0
    const isCloned = node?.reach.isCloned ?? false
    const self = node && { peer: node.status.peer, name: node.status.name }
    const replaced = node?.reach.replaced ?? 0
    const ban = node?.reach.ban
    return judgeMembers({
      isRunning: node !== undefined,
      connected,
      isCloned,
      dialled,
      replaced,
      ...(self === undefined ? {} : { self }),
      ...(ban === undefined ? {} : { banned: { found: ban.found, advice: ban.remedy } }),
    })
  },
}

/** Without a running node: where the token, and what was given, say that members are. */
async function rememberedIn(data: string, given: string[]): Promise<{ peer: string; addresses: string[] }[]> {
  const cluster = await findCluster(data).catch((error: unknown) => {
    // A broken or unreadable one is for the check of the secrets to tell.
    if (error instanceof Error && 'code' in error) return undefined
    throw error
  })
  const addresses = [...new Set([...given, ...(cluster?.bootstrap ?? [])])]
  return addresses.map((address) => ({
    peer: /\/p2p\/([^/]+)$/.exec(address)?.[1] ?? 'a member',
    addresses: [address],
  }))
}

interface Target {
  host: string
  port: number
}

/** Of a multiaddr; one that says no TCP port has none. */
function targetOf(multiaddr: string): Target | undefined {
  const [, host, port] = /^\/(?:ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d+)/.exec(multiaddr) ?? []
  return host === undefined ? undefined : { host, port: Number(port) }
}

function dial({ peer, host, port }: Target & { peer: string }, signal: AbortSignal): Promise<Dialled> {
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const late = AbortSignal.any([signal, AbortSignal.timeout(dialMs)])
    const end = (outcome: Dialled['outcome']): void => {
      late.removeEventListener('abort', giveUp)
      socket.destroy()
      resolve({ peer, address, outcome })
    }
    const giveUp = (): void => end('silent')
    late.addEventListener('abort', giveUp, { once: true })
    socket.once('connect', () => end('open'))
    socket.once('error', (error) => {
      if (isRefusal(error, 'ECONNREFUSED', 'ECONNRESET')) end('refused')
      else if (isRefusal(error, 'ETIMEDOUT')) end('silent')
      else end('unroutable')
    })
  })
}

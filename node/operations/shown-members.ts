/** Everybody that this node knows as a member, a guest, or neither any more. */
import type { RosterEntry } from '../../src/records/records.ts'
import { knownMembers } from './cluster.ts'
import type { OperationContext } from './operations.ts'
import type { ShownMember } from './shown.ts'

/** In order: those that are members, those that are away, guests, and who is out. */
export async function shownMembers(context: OperationContext): Promise<ShownMember[]> {
  const { node, member } = context
  const { names, membership } = node
  const self = membership.identity.peerId
  const { entries } = names.roster()
  const connected = new Map((member?.swarm.members.list() ?? []).map((one) => [one.peer, one]))
  const guests = new Map((member?.guests() ?? []).map((one) => [one.peer, one]))
  const { banned } = names.policy()
  const peers = new Set([self, ...entries.keys(), ...connected.keys(), ...guests.keys(), ...banned])
  for (const peer of await knownMembers(context)) peers.add(peer)
  const order = ['approved', 'member', 'away', 'guest', 'gone', 'banned']
  return [...peers]
    .map((peer): ShownMember => {
      const entry = entries.get(peer)
      const [one, guest] = [connected.get(peer), guests.get(peer)]
      const isHere = one !== undefined || (peer === self && member !== undefined)
      const name = entry?.name ?? node.peers.nameOf(peer) ?? one?.name ?? guest?.name
      const site = one?.site ?? guest?.site ?? entry?.site ?? (peer === self ? node.settings.site : undefined)
      const version = peer === self ? node.version : one?.agent?.replace(/^shoal\//, '')
      const sinceMs = entry?.sinceMs ?? guest?.sinceMs ?? one?.sinceMs
      return {
        peer,
        state: stateOf(context, peer, entry, isHere),
        ...(name === undefined ? {} : { name }),
        ...(site === undefined ? {} : { site }),
        ...(version === undefined ? {} : { version }),
        ...(sinceMs === undefined ? {} : { sinceMs }),
        ...(guest === undefined ? {} : { from: guest.from }),
      }
    })
    .sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || (byName(a) < byName(b) ? -1 : 1))
}

function stateOf(
  { node: { names } }: OperationContext,
  peer: string,
  entry: RosterEntry | undefined,
  isHere: boolean,
): ShownMember['state'] {
  if (names.isBanned(peer)) return 'banned'
  if (entry?.goneMs !== undefined && !isHere) return 'gone'
  if (names.isGuest(peer)) return 'guest'
  if (!isHere) return 'away'
  return entry?.isApproved === true ? 'approved' : 'member'
}

/** Those of one name by their ids. */
function byName({ name = '', peer }: ShownMember): string {
  return `${name} ${peer}`
}

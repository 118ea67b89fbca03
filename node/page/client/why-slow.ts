/** Why a blob comes no faster: what holds a transfer up, in words, the weightiest first. */
import type { BlobEvent, StateEvent, SwarmPeer } from '../answers/live.ts'
import { formatBytes, formatCount, formatList, formatRate } from './format.ts'
import type { NameOf } from './member-names.ts'

export interface Reason {
  /** `holds` is what holds it up; `note` is worth knowing. */
  kind: 'holds' | 'note'
  text: string
}

type Transfer = NonNullable<BlobEvent['transfer']>

/** Of a limit: beyond, it is what decides. */
const nearLimit = 0.75
const farMs = 40

export function whySlow(
  transfer: Transfer,
  {
    members,
    limits,
    transfers,
    flows,
    self,
  }: Pick<StateEvent, 'members' | 'limits' | 'transfers' | 'flows' | 'self'>,
  nameOf: NameOf,
): Reason[] {
  if (transfer.proving) return [{ kind: 'note', text: 'Everything is here; the whole is being hashed.' }]
  const having = transfer.peers.filter(({ held }) => held > 0)
  const reasons: Reason[] = []
  const holds = (text: string) => reasons.push({ kind: 'holds', text })
  const note = (text: string) => reasons.push({ kind: 'note', text })
  const names = (peers: SwarmPeer[]) => formatList(peers.map(({ peer }) => nameOf(peer)))

  if (having.length === 0) {
    const asked = formatCount(transfer.peers.length, 'member was', 'members were')
    holds(`No member that is connected holds any of what is missing; ${asked} asked.`)
    return reasons
  }
  const silent = having.filter(({ state }) => state === 'silent')
  if (silent.length > 0) {
    holds(
      `${names(silent)} ${silent.length === 1 ? 'was' : 'were'} asked and ${silent.length === 1 ? 'says' : 'say'} nothing now; the pieces are asked of others.`,
    )
  }
  const busy = having.filter(({ state }) => state === 'busy')
  if (busy.length > 0)
    holds(
      `${names(busy)} ${busy.length === 1 ? 'serves' : 'serve'} others first and asked this node to wait.`,
    )
  const { received, sharing } = loadOf(self, transfers)
  if (limits.download > 0 && received >= nearLimit * limits.download) {
    holds(
      `This node takes at most ${formatRate(limits.download)} (--max-download), and that is what it takes.`,
    )
  }
  for (const { peer, maxUpload = 0 } of members) {
    const sent = flows.reduce((sum, flow) => sum + (flow.from === peer ? flow.bytesPerSecond : 0), 0)
    if (maxUpload === 0 || !having.some((one) => one.peer === peer) || sent < nearLimit * maxUpload) continue
    const readers = flows.filter((flow) => flow.from === peer).length
    const shared = readers > 1 ? `, and ${readers} members share that` : ''
    holds(`${nameOf(peer)} sends at most ${formatRate(maxUpload)} (its --max-upload)${shared}.`)
  }
  const fullest = Math.max(...having.map(({ held }) => held))
  if (fullest < transfer.pieces) {
    holds(
      `No member has all of it: the fullest has ${fullest} of ${transfer.pieces} pieces, and the rest comes as they get it.`,
    )
  }
  const [only] = having
  if (having.length === 1 && only !== undefined) {
    holds(
      `It comes from ${nameOf(only.peer)} alone, at the ${formatRate(only.bytesPerSecond)} that it sends.`,
    )
  }
  const far = members.filter(
    ({ peer, latencyMs = 0 }) => latencyMs > farMs && having.some((one) => one.peer === peer),
  )
  for (const { peer, latencyMs = 0 } of far.slice(0, 3))
    note(`${nameOf(peer)} is ${Math.round(latencyMs)} ms away.`)
  if (sharing > 1)
    note(`${formatCount(sharing, 'blob')} share this node’s connection, ${formatRate(received)} in all.`)
  if (reasons.length === 0) {
    const quickest = having.toSorted((a, b) => b.bytesPerSecond - a.bytesPerSecond)[0]
    const from =
      quickest === undefined || quickest.bytesPerSecond === 0
        ? ''
        : `; the quickest is ${nameOf(quickest.peer)} with ${formatRate(quickest.bytesPerSecond)}`
    note(
      `Nothing holds it up: ${formatCount(having.length, 'member sends', 'members send')} what their connections carry${from}.`,
    )
  }
  return reasons
}

/** How far it is, in one sentence. */
export function progressInWords({ bytes = 0, transfer, isHere }: BlobEvent): string {
  if (isHere) return `All ${formatBytes(bytes)} of it are on this node.`
  if (transfer === undefined) return 'It is not on this node, and not on its way here.'
  const here = Math.min(bytes, transfer.held * transfer.pieceBytes)
  const from = transfer.peers.filter(({ bytesPerSecond }) => bytesPerSecond > 0).length
  const rate =
    transfer.bytesPerSecond > 0
      ? `${formatRate(transfer.bytesPerSecond)} from ${formatCount(from, 'member')}`
      : 'nothing comes right now'
  return `${formatBytes(here)} of ${formatBytes(bytes)} are here; ${rate}.`
}

function loadOf(self: string, transfers: StateEvent['transfers']): { received: number; sharing: number } {
  const own = transfers.filter(({ to }) => to === self)
  return { received: own.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0), sharing: own.length }
}

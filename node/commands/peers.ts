/** `shoal peers`: the members that this node is connected with. */

import { perform } from '../admin/perform.ts'
import { type CalledPeers, calledIn } from '../command-line/called.ts'
import { defineCommand, json } from '../command-line/command.ts'
import type { PeerList } from '../operations/operations.ts'
import { formatBytes, formatTable, formatTime, print, printJson } from '../screen/output.ts'

export const command = defineCommand({
  usage: ['peers [--json]'],
  about: `
Lists this node and the members that it is connected with: their addresses, the round trip, since when, how many
digests each announces, what it sent here and was sent, what went wrong with it, and its version. Then the members
that are away since this node started, those that had faults and are not connected, and the blobs that are on their
way here.

Faults: wrong-bytes, wrong-list, lying-list and protocol are malice or a broken machine; false-complaint a rotten
disk there; stalled, broken and direct (the direct connection) mostly its network.`,
  flags: { json },
  maxWords: 0,
  examples: [
    ['peers', 'the members'],
    ['peers --json', 'the same for a program'],
  ],
  async run({ settings, flags }) {
    const list = await perform(settings, 'peers', {})
    if (flags.json) printJson(list)
    else print(render(list, await calledIn(settings, list)))
    return 0
  },
})

function render({ self, members, away = [], exchange }: PeerList, { call }: CalledPeers): string {
  const parts = [
    `this node ${call(self.peer)}, cluster ${self.cluster}`,
    ...self.addresses.map((address) => `  ${withoutId(address)}`),
  ]
  const exchanged = new Map(exchange.peers.map((peer) => [peer.peer, peer]))
  const head = [
    'MEMBER',
    'ROUND TRIP',
    'SINCE (UTC)',
    'ANNOUNCES',
    'RECEIVED',
    'SENT',
    'FAULTS',
    'VERSION',
    'ADDRESSES',
  ]
  const rows = members.map(({ peer, latencyMs, sinceMs, announces, agent, addresses }) => {
    const { receivedBytes = 0, sentBytes = 0, faults = {} } = exchanged.get(peer) ?? {}
    return [
      call(peer),
      latencyMs === undefined ? '-' : `${latencyMs.toFixed(1)} ms`,
      formatTime(sinceMs),
      announces === undefined ? '-' : String(announces),
      formatBytes(receivedBytes),
      formatBytes(sentBytes),
      formatFaults(faults),
      agent ?? '-',
      addresses.map(withoutId).join(' '),
    ]
  })
  const table = members.length === 0 ? nobody(away.length > 0) : formatTable([head, ...rows])
  const missed = away.map(({ peer, sinceMs }) => `away: ${call(peer)}  since ${formatTime(sinceMs)} UTC`)
  const connected = new Set(members.map(({ peer }) => peer))
  const gone = exchange.peers
    .filter(({ peer, faults }) => !connected.has(peer) && Object.keys(faults).length > 0)
    .map(({ peer, faults }) => `not connected: ${call(peer)}  ${formatFaults(faults)}`)
  const coming = exchange.transfers.map(
    ({ digest, held, pieces, peers }) =>
      `on its way: ${digest}  ${held} of ${pieces} pieces, from ${peers} members`,
  )
  return [
    ...parts,
    '',
    `${table}${[...missed, ...gone, ...coming].map((line) => `${line}\n`).join('')}`,
  ].join('\n')
}

function nobody(isSomebodyAway: boolean): string {
  return isSomebodyAway
    ? 'No member is connected; shoal doctor says why.\n'
    : 'No member is connected. On another host: shoal serve --join TOKEN (shoal token prints it here)\n'
}

/** As --bootstrap takes it. */
function withoutId(address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, '')
}

/** Such as `2 stalled, 1 direct`. */
function formatFaults(faults: Partial<Record<string, number>>): string {
  const texts = Object.entries(faults).map(([fault, count]) => `${count} ${fault}`)
  return texts.length === 0 ? '-' : texts.join(', ')
}

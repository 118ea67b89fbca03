/** Members as processes on the hosts of a test network. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Cluster, tokenOf } from '../../src/swarm/swarm.ts'
import { killAtExit } from '../e2e/kill-at-exit.ts'
import { until } from '../swarm/fixture.ts'
import type { MemberOrder, MemberReport, MemberRequest } from '../swarm/member-child.ts'
import type { NetworkHost } from './network.ts'

export interface MemberProcess extends AsyncDisposable {
  readonly peer: string
  /** Multiaddrs with the peer id. */
  readonly addresses: string[]
  /** The digest of the blob that it holds. */
  readonly digest: string
  /** Peer ids of those connected now. */
  peers(): string[]
  fetch(digest: string): Promise<Extract<MemberReport, { kind: 'fetched' }>>
  signal(name: NodeJS.Signals): void
}

export type MemberOptions = Partial<Omit<MemberOrder, 'token'>> & { cluster: Cluster; folder: string }

const program = fileURLToPath(new URL('../swarm/member-child.ts', import.meta.url))

/** Listens on all addresses, port 5001; neither mDNS nor bootstrap addresses unless they are given. */
export async function startMember(host: NetworkHost, options: MemberOptions): Promise<MemberProcess> {
  const { cluster, ...rest } = options
  const order: MemberOrder = {
    token: tokenOf(cluster),
    listen: { host: '0.0.0.0', port: 5001 },
    bootstrap: [],
    mdns: false,
    blobBytes: 0,
    ...rest,
  }
  const { command, args } = host.command(process.execPath, [program, JSON.stringify(order)])
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })
  let complaints = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-8192)
  })
  killAtExit(child)
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let peers: string[] = []
  let started: Extract<MemberReport, { kind: 'started' }> | undefined
  const answers: MemberReport[] = []
  child.on('message', (report: MemberReport) => {
    if (report.kind === 'members') peers = report.peers
    else if (report.kind === 'started') started = report
    else answers.push(report)
  })

  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null
  await until(`the member on ${host.name} to start`, () => started !== undefined || isOver(), 30_000)
  if (started === undefined) throw new Error(`the member on ${host.name} ended: ${complaints}`)
  const { peer, addresses, digest } = started
  return {
    peer,
    addresses,
    digest,
    peers: () => peers,
    async fetch(wanted) {
      const request: MemberRequest = { fetch: wanted }
      child.send(request)
      await until('the fetch to end', () => answers.length > 0, 60_000)
      const answer = answers.shift()
      if (answer?.kind !== 'fetched')
        throw new Error(answer?.kind === 'failed' ? answer.message : 'no answer')
      return answer
    },
    signal: (name) => void child.kill(name),
    async [Symbol.asyncDispose]() {
      if (!isOver()) child.kill('SIGTERM')
      await gone
    },
  }
}

/** Whether each of them is connected to exactly the others. */
export function isMesh(members: MemberProcess[]): boolean {
  const all = members.map(({ peer }) => peer).sort()
  return members.every((member) => {
    const others = all.filter((peer) => peer !== member.peer)
    return JSON.stringify(member.peers().toSorted()) === JSON.stringify(others)
  })
}

/** What moves in the cluster, as it stands: put together from this node's counters and the other members' reports. */
import type { Clock, Logger } from '../../../src/base/base.ts'
import { layoutOf } from '../../../src/exchange/exchange.ts'
import type { Digest } from '../../../src/oci/oci.ts'
import type { LostMember } from '../../cluster/lost-members.ts'
import type { BlobEvent, Flow, MemberFacts, StateEvent, TransferFacts } from '../answers/live.ts'
import type { PageMember, PageNode } from '../page.ts'
import { Rates } from './rates.ts'
import { type About, Reports } from './reports.ts'

const maxFlows = 256
const maxTransfers = 200
const maxCounters = 8_192

export class Observatory {
  readonly #node: PageNode
  readonly #clock: Clock
  readonly #reports: Reports
  readonly #rates = new Rates(maxCounters)
  #revision = 0

  constructor(node: PageNode, { clock, logger }: { clock: Clock; logger: Logger }) {
    this.#node = node
    this.#clock = clock
    this.#reports = new Reports(logger)
  }

  /** Follows the ledger until the unsubscriber is called. */
  follow(): () => void {
    return this.#node.names.onChange(() => {
      this.#revision++
    })
  }

  /** Asks the members for their reports. */
  async ask(): Promise<void> {
    const member = this.#node.member()
    if (member === undefined) return
    const peers = member.list().map(({ peer }) => peer)
    await this.#reports.ask(member, peers, () => this.#clock.now())
  }

  async state(): Promise<StateEvent> {
    const { self, version, cluster, http, limits } = this.#node
    const member = this.#node.member()
    const nowMs = this.#clock.now()
    return {
      nowMs,
      self,
      version,
      cluster,
      http,
      members: await this.#members(member, nowMs),
      lost: (member?.lost() ?? []).map((lost) => this.#lostMember(lost)),
      flows: this.#flows(member, nowMs),
      transfers: await this.#transfers(member, nowMs),
      problems: member === undefined ? ['this node is still joining its cluster'] : member.problems(),
      limits,
      revision: this.#revision,
    }
  }

  async blob(digest: Digest): Promise<BlobEvent> {
    const { store } = this.#node
    const nowMs = this.#clock.now()
    const view = this.#node.member()?.observe(digest)
    const here = await store.blobs.stat(digest)
    const bytes = here?.size ?? view?.size
    const repository = view === undefined ? await store.links.anyRepository(digest) : undefined
    const repositories = view?.repositories ?? (repository === undefined ? [] : [repository])
    const { size, pieceBytes } = view ?? {}
    return {
      digest,
      isHere: here !== undefined,
      ...(bytes === undefined ? {} : { bytes }),
      repositories,
      ...(view === undefined || size === undefined || pieceBytes === undefined
        ? {}
        : {
            transfer: {
              pieceBytes,
              pieces: view.pieces,
              held: view.held,
              bitfield: Buffer.from(view.bitfield).toString('base64'),
              proving: view.proving,
              bytesPerSecond: this.#rates.read(`blob ${digest}`, bytesOf(size, view.held), nowMs),
              peers: view.peers.map((peer) => ({
                ...peer,
                bytesPerSecond: this.#rates.read(`blob ${digest} ${peer.peer}`, peer.receivedBytes, nowMs),
              })),
            },
          }),
    }
  }

  async #members(member: PageMember | undefined, nowMs: number): Promise<MemberFacts[]> {
    const self: MemberFacts = {
      peer: this.#node.self,
      name: this.#node.hostName(this.#node.self) ?? this.#node.name,
      isSelf: true,
      addresses: member?.addresses() ?? [],
      version: this.#node.version,
      receivedBytes: 0,
      sentBytes: 0,
      faults: {},
      condition: await this.#node.condition(),
      ...(this.#node.limits.upload === 0 ? {} : { maxUpload: this.#node.limits.upload }),
    }
    const traffic = new Map(member?.exchange().peers.map((peer) => [peer.peer, peer]))
    const reports = this.#reports.fresh(nowMs)
    const others = (member?.list() ?? []).map(({ peer, addresses, latencyMs, sinceMs, agent, announces }) => {
      const { receivedBytes = 0, sentBytes = 0, faults = {} } = traffic.get(peer) ?? {}
      const condition = reports.get(peer)?.activity.condition
      return {
        peer,
        isSelf: false,
        addresses,
        sinceMs,
        receivedBytes,
        sentBytes,
        faults: faults as Record<string, number>,
        ...this.#about(peer),
        ...(condition === undefined ? {} : { condition }),
        ...(latencyMs === undefined ? {} : { latencyMs }),
        ...(agent === undefined ? {} : { version: agent.replace(/^shoal\//, '') }),
        ...(announces === undefined ? {} : { announces }),
      }
    })
    return [self, ...others]
  }

  #lostMember({ peer, sinceMs, hosts }: LostMember): MemberFacts {
    return {
      peer,
      isSelf: false,
      addresses: hosts,
      sinceMs,
      receivedBytes: 0,
      sentBytes: 0,
      faults: {},
      ...this.#about(peer),
    }
  }

  #about(peer: string): About {
    const name = this.#node.hostName(peer)
    return { ...this.#reports.aboutOf(peer), ...(name === undefined ? {} : { name }) }
  }

  /** This node counts what it sends and receives; of what passes between others, the receivers tell. */
  #flows(member: PageMember | undefined, nowMs: number): Flow[] {
    const { self } = this.#node
    const flows: Flow[] = []
    const add = (from: string, to: string, total: number, atMs: number) => {
      const bytesPerSecond = this.#rates.read(`${from}>${to}`, total, atMs)
      if (bytesPerSecond > 0 && flows.length < maxFlows) flows.push({ from, to, bytesPerSecond })
    }
    for (const { peer, receivedBytes, sentBytes } of member?.exchange().peers ?? []) {
      add(peer, self, receivedBytes, nowMs)
      add(self, peer, sentBytes, nowMs)
    }
    for (const [to, { atMs, activity }] of this.#reports.fresh(nowMs)) {
      for (const { peer, received } of activity.peers) if (peer !== self) add(peer, to, received, atMs)
    }
    return flows
  }

  async #transfers(member: PageMember | undefined, nowMs: number): Promise<TransferFacts[]> {
    const { self } = this.#node
    const own = (member?.exchange().transfers ?? []).map((transfer) => ({
      to: self,
      atMs: nowMs,
      ...transfer,
    }))
    const others = [...this.#reports.fresh(nowMs)].flatMap(([to, { atMs, activity }]) =>
      activity.transfers.map((transfer) => ({ to, atMs, ...transfer })),
    )
    return await Promise.all(
      [...own, ...others]
        .slice(0, maxTransfers)
        .map(async ({ to, atMs, digest, size, held, pieces, peers }) => {
          const repository =
            this.#node.member()?.observe(digest)?.repositories[0] ??
            (await this.#node.store.links.anyRepository(digest))
          const heldBytes = size === undefined ? 0 : bytesOf(size, held)
          return {
            to,
            digest,
            ...(repository === undefined ? {} : { repository }),
            ...(size === undefined ? {} : { bytes: size }),
            heldBytes,
            pieces,
            held,
            peers,
            bytesPerSecond: this.#rates.read(`${to}<${digest}`, heldBytes, atMs),
          }
        }),
    )
  }
}

/** Every piece but the last has one length, so a whole blob is not more than it is. */
function bytesOf(size: number, held: number): number {
  return Math.min(size, held * layoutOf(size).pieceBytes)
}

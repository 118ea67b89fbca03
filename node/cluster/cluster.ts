/** The node as a member: the swarm opened over the local node, its protocols served, its records spread and repaired. */
import { type Logger, type Metrics, steadyClock, wallClock } from '../../src/base/base.ts'
import type { Exchange } from '../../src/exchange/exchange.ts'
import type { Digest } from '../../src/oci/oci.ts'
import { isNamed } from '../../src/placement/placement.ts'
import { answerQuestions, type ChangedKey, openRepair, spreadRecords } from '../../src/records/records.ts'
import type { Elsewhere } from '../../src/registry/registry.ts'
import { clusterId } from '../../src/swarm/cluster/cluster.ts'
import { clonedProblem, openSwarm, type Swarm } from '../../src/swarm/swarm.ts'
import type { Contact } from '../contact.ts'
import type { LocalNode } from '../local-node.ts'
import type { Measured } from '../measured.ts'
import { toldRoom } from '../offered-room.ts'
import { formatAddress } from '../settings/kinds.ts'
import { keepNames } from '../site-shares.ts'
import { activityLimits, activityOf, activityProtocol, answerActivity } from './activity.ts'
import { openAdmissions } from './admissions.ts'
import { type Ban, policyExchange, watchOwnBan } from './bans.ts'
import { openBlobExchange } from './blob-exchange.ts'
import { ChannelPool } from './channel-pool.ts'
import type { Condition } from './condition.ts'
import { copyPeers } from './copies-channel.ts'
import { clusterElsewhere } from './elsewhere.ts'
import { openHealer } from './healer.ts'
import { type LostMembers, watchLostMembers } from './lost-members.ts'
import type { NodeMirror } from './mirror.ts'
import { askLimits, askProtocol, reconcileLimits, reconcileProtocol } from './protocols.ts'
import { openThrough, type Through } from './through.ts'
import type { WaitingGuest } from './waiting-guests.ts'

export interface ClusterMember extends AsyncDisposable {
  readonly swarm: Swarm
  readonly exchange: Exchange
  readonly elsewhere: Elsewhere
  readonly through: Through
  readonly p2pAddress: string
  readonly lost: LostMembers
  /** Why this node is no member yet, in words. */
  admissionProblem(): string | undefined
  /** `undefined` while this node is not banned. */
  ban(): Ban | undefined
  /** Nodes that came here and are no members yet. */
  guests(): WaitingGuest[]
  /** The room that this node offers for copies, as a step; the members are told. */
  offerRoom(room: number): void
  /** Channels on which members are asked what moves. */
  readonly activities: ChannelPool
  /** What keeps this node from being a good member, in words. */
  problems(): string[]
  /** The one of them that is about the clock. */
  clockProblem(): string | undefined
}

/** Listens and connects. A failed start closes what it had opened. */
export async function openMember(
  node: LocalNode,
  mirror: NodeMirror,
  contact: Pick<Contact, 'heard'>,
  condition: Pick<Measured<Condition>, 'get'>,
  logger: Logger,
  metrics: Metrics,
): Promise<ClusterMember> {
  const { settings, names, membership } = node
  await using opened = new AsyncDisposableStack()
  const { reaching, delegation } = mirror
  // Until the disk is measured, as long as that takes: one that comes back with none would have all it holds placed elsewhere.
  let room = (await toldRoom(node)) ?? 0
  const isGone = (peer: string): boolean => names.roster().entries.get(peer)?.goneMs !== undefined
  const admissions = opened.use(
    openAdmissions({
      names,
      secrets: membership.secrets,
      self: { peer: membership.identity.peerId, name: node.name, site: settings.site },
      isServed: () => swarm.members.list().some(({ agent }) => agent !== undefined),
      onApproved: (peer, addresses) => swarm.meet(peer, addresses),
      clock: wallClock,
      steady: steadyClock,
      logger,
    }),
  )
  const swarm: Swarm = opened.use(
    await openSwarm({
      identity: membership.identity,
      cluster: membership.cluster,
      secrets: membership.secrets,
      database: node.swarmTable,
      held: (...part) => node.store.listShard(...part),
      listen: settings.p2p,
      bootstrap: settings.bootstrap,
      mdns: !settings['no-mdns'],
      agent: `shoal/${node.version}`,
      isBanned: (peer) => names.isBanned(peer),
      isGone,
      admission: admissions,
      policy: policyExchange(names),
      name: node.name,
      site: settings.site,
      upstreams: () => reaching.names(),
      upstreamsAway: () => reaching.away(),
      room: () => room,
      // What a guest calls itself counts once it is a member.
      onNamed: (peer, name) => {
        if (!names.isGuest(peer)) node.peers.hear(peer, name)
      },
      keeps: () => keepNames(settings.site, node.keepRules.list()),
      clock: steadyClock,
      logger,
      metrics,
    }),
  )
  await swarm.handle(askProtocol, askLimits, (channel, _peer, options) =>
    answerQuestions(channel, names, options),
  )
  const random = Math.random
  const repair = opened.use(
    openRepair({
      ledger: names,
      peers: repairPeers(node, swarm),
      time: node.membersTime,
      onReconciled: () => contact.heard(),
      clock: wallClock,
      random,
      logger,
      metrics,
    }),
  )
  await swarm.handle(reconcileProtocol, reconcileLimits, (channel, peer, options) =>
    repair.answer(channel, peer, options),
  )
  opened.use(spreadRecords({ ledger: names, spread: swarm.spread, logger }))
  const onRotten = (digest: Digest): void => healer.suspect(digest)
  const exchange = opened.use(await openBlobExchange(node, swarm, { delegation, onRotten }, logger, metrics))
  const through = openThrough({
    peers: copyPeers(swarm),
    connected: () => swarm.members.peers(),
    areMissing: async () => (await swarm.members.missing()).length > 0,
    isNamed: (repository, digest) =>
      isNamed(
        { names, parentsOf: (...part) => node.store.manifests.referringTo(...part) },
        { repository, digest },
      ),
    random: Math.random,
    clock: steadyClock,
  })
  const elsewhere = clusterElsewhere(node, swarm, { exchange, delegation, through }, logger)
  const healer = opened.use(
    openHealer({
      store: node.store,
      names,
      providers: swarm.providers,
      exchange,
      elsewhere,
      clock: steadyClock,
      logger,
    }),
  )
  await mirror.join({ swarm, exchange, elsewhere })
  const told = { name: node.name, maxUpload: settings['max-upload'] }
  await swarm.handle(activityProtocol, activityLimits, (channel, _peer, options) =>
    answerActivity(
      channel,
      async () => activityOf({ ...told, condition: await condition.get() }, exchange),
      options,
    ),
  )
  const isMissed = (peer: string): boolean => !names.isBanned(peer) && !isGone(peer)
  const lost = opened.use(watchLostMembers(swarm.members, isMissed, steadyClock))
  await swarm.start()
  opened.defer(node.keepRules.onChange(() => swarm.members.tell()))
  opened.defer(
    names.onChange((keys) => {
      const isOfMembers = ({ kind }: ChangedKey): boolean =>
        kind === 'policy' || kind === 'member' || kind === 'invitation'
      if (keys.some(isOfMembers)) swarm.reconsider()
    }),
  )
  const banned = opened.use(watchOwnBan(names, swarm.peerId, logger))
  metrics.gauge('shoal_cluster_info', () => 1, { cluster: clusterId(membership.cluster) })
  metrics.gauge('shoal_member_banned', () => (banned.standing() === undefined ? 0 : 1))
  metrics.gauge('shoal_member_waiting', () => (admissions.problem() === undefined ? 0 : 1))
  const leaving = new AbortController()
  const { signal } = leaving
  const watching = reaching.run({ signal, onChange: () => swarm.members.tell() })
  opened.defer(async () => {
    leaving.abort(new Error('the node stops'))
    await watching
  })
  const resources = opened.move()
  return {
    swarm,
    exchange,
    elsewhere,
    through,
    lost,
    offerRoom(offered) {
      room = offered
      swarm.members.tell()
    },
    admissionProblem: () => admissions.problem(),
    ban: () => banned.standing(),
    guests: () => admissions.guests(),
    activities: new ChannelPool((peer, options) =>
      swarm.open(peer, activityProtocol, { maxFrameBytes: activityLimits.maxFrameBytes, ...options }),
    ),
    p2pAddress: formatAddress({ host: settings.p2p.host, port: swarm.port() }),
    clockProblem: () => node.membersTime.problem(),
    problems: () =>
      [
        banInWords(banned.standing()),
        admissions.problem(),
        node.membersTime.problem(),
        swarm.isCloned() ? clonedProblem : undefined,
      ].filter((problem) => problem !== undefined),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

function banInWords(ban: Ban | undefined): string | undefined {
  return ban && `${ban.found}; ${ban.remedy}`
}

function repairPeers({ settings, membership, names }: LocalNode, swarm: Swarm) {
  const given = [...settings.bootstrap, ...membership.cluster.bootstrap]
  return {
    self: swarm.peerId,
    peers: () => swarm.members.peers(),
    onJoin: (listener: (peer: string) => void) =>
      swarm.members.onChange(({ kind, peer }) => {
        if (kind === 'join') listener(peer)
      }),
    open: (peer: string, { signal }: { signal: AbortSignal }) =>
      swarm.open(peer, reconcileProtocol, { maxFrameBytes: reconcileLimits.maxFrameBytes, signal }),
    isNamed: (peer: string) =>
      given.some((address) => address.endsWith(`/p2p/${peer}`)) || names.isNamed(peer),
    penalise: (peer: string) => swarm.penalise(peer, 'invalid-record'),
  }
}

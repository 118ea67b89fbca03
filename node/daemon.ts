/** The running node: everything opened in order, wired together, and closed in the opposite order. */
import module from 'node:module'
import { availableParallelism, totalmem } from 'node:os'
import type { Middleware } from 'koa'
import { openAccess } from '../src/access/access.ts'
import { ClosingError, type Logger, steadyClock, wallClock } from '../src/base/base.ts'
import { BodyWatch, bodyLimits, createHttpHandler, HeldAnswers, Hosts } from '../src/http/http.ts'
import { maxAccessAgeMs } from '../src/records/records.ts'
import { createRegistry } from '../src/registry/registry.ts'
import { openAccessMark } from './access-mark.ts'
import { onceUnlocked } from './admin/client.ts'
import { contentHandler } from './admin/content-server.ts'
import { type OperationRunner, openAdminServer } from './admin/server.ts'
import { budgetsFor } from './budgets.ts'
import type { ClusterMember } from './cluster/cluster.ts'
import { watchCondition } from './cluster/condition.ts'
import { lateElsewhere } from './cluster/late-elsewhere.ts'
import { openNodeMirror } from './cluster/mirror.ts'
import { openCodeCache } from './code-cache.ts'
import { openContact } from './contact.ts'
import { type NodeCopies, openNodeCopies } from './copies.ts'
import { healthEndpoints, localProblems, roomNotes } from './health.ts'
import { findHostNames } from './host-names.ts'
import type { HttpPort } from './http-port.ts'
import { openIdleHeap, processHeap } from './idle-heap.ts'
import { openJanitor } from './janitor.ts'
import { openNodeKeeper } from './keep-sources.ts'
import { openLastHour } from './last-hour.ts'
import { replacementNotes } from './late.ts'
import { lateCopies } from './late-copies.ts'
import { type LocalNode, openLocalNode } from './local-node.ts'
import { readMachineLimits } from './machine-limits.ts'
import { createMetrics } from './metrics/metrics.ts'
import { openMetricsPort } from './metrics-port.ts'
import {
  checkNetworkAccess,
  closedProblem,
  needsAccessRules,
  tellOfAccessRules,
  untilAccessRules,
} from './network-access.ts'
import type { OperationContext } from './operations/operations.ts'
import { runOperation } from './operations/run-operation.ts'
import { openPageDoor } from './page-door.ts'
import { namingLogger } from './peer-names.ts'
import { quotasOf } from './quota-rules.ts'
import { keepFailedPulls } from './requests/failed-pulls.ts'
import { openReports } from './requests/reports.ts'
import { type ClusterSeen, openRetainer } from './retention.ts'
import { openNodeRoom } from './room.ts'
import { openScrubber } from './scrubber.ts'
import type { Settings } from './settings/settings.ts'
import { openNodeTls } from './tls/tls.ts'
import { openNodeUpstreams } from './upstreams.ts'

export interface Daemon extends AsyncDisposable {
  readonly p2pAddress: string
}

/** Loading libp2p holds the event loop for half a second; whoever waited for the port gets an answer before that. */
const firstAnswersMs = 50
/** How long a push waits for its copies: shorter than proxies and load balancers wait. */
const ackWithinMs = 30_000

/** Resolves when the node serves and is a member of its cluster. A failed start closes what it had opened, but not the port. */
export async function openDaemon(settings: Settings, port: HttpPort, plain: Logger): Promise<Daemon> {
  let named: LocalNode['peers'] | undefined
  const logger = namingLogger(plain, () => named)
  const metrics = createMetrics()
  await using opened = new AsyncDisposableStack()
  const machine = readMachineLimits()
  const budgets = budgetsFor(machine)
  if (machine.processors < availableParallelism() || machine.memoryBytes < totalmem())
    logger.info(
      { ...machine },
      'control groups leave this node a part of the machine, which its caches and threads follow',
    )
  // Before the data directory is touched: what the configuration says of them may be wrong.
  const upstreams = opened.use(await openNodeUpstreams(settings, process.env, { logger, metrics }))
  const node = opened.use(
    await onceUnlocked(() => openLocalNode({ settings, logger, metrics, create: true, budgets })),
  )
  named = node.peers
  const { store, names } = node
  const opens = checkNetworkAccess(settings, names)
  const tls = opened.use(await openNodeTls(settings, { port, logger, metrics }))
  const elsewhere = lateElsewhere(steadyClock)
  const allowDelete = !settings['no-delete']
  const mirror = openNodeMirror(node, { upstreams, elsewhere, logger })
  const { quotasFor } = opened.use(quotasOf(names))
  const late = lateCopies({
    policy: () => names.policy(),
    ack: settings.ack,
    withinMs: ackWithinMs,
    clock: steadyClock,
  })
  const registry = opened.use(
    createRegistry({
      store,
      names,
      elsewhere,
      mirror,
      logger,
      metrics,
      allowDelete,
      sparse: settings.sparse,
      secured: late.secured,
      ahead: {
        // What fails is said by whoever sends.
        begin: (repository) => void copies?.ahead.begin(repository),
        send: (...blob) => void copies?.ahead.send(...blob),
        take: (repository) => copies?.ahead.take(repository),
      },
      quotasFor,
      manifestBytes: budgets.manifestBytes,
    }),
  )
  let copies: NodeCopies | undefined
  const mark = opened.use(openAccessMark(settings.data, names, logger))
  const contact = opened.use(
    await openContact({ directory: settings.data, names, steady: steadyClock, wall: wallClock, logger }),
  )
  metrics.gauge('shoal_access_age_seconds', () => Math.min(contact.ageMs() ?? 0, maxAccessAgeMs) / 1000)
  metrics.gauge('shoal_access_outdated', () => (contact.problem() === undefined ? 0 : 1))
  const access = opened.use(
    await openAccess({ names, mark, contact, needsRules: needsAccessRules(settings) }),
  )
  opened.use(tellOfAccessRules(settings, names, logger))
  const closed = () => closedProblem(settings, names)
  const { http, 'allow-host': allowed, 'page-host': pageHosts } = settings
  const hosts = new Hosts({
    names: [...(await findHostNames()), http.host, ...pageHosts, ...allowed],
    logger,
  })
  const aheadBytes = { ...bodyLimits.aheadBytes, all: budgets.bodyAheadBytes }
  const bodies = new BodyWatch({ limits: { budgetBytes: budgets.bodyBytes, aheadBytes } })
  const answers = new HeldAnswers({ limits: { budgetBytes: budgets.answerBytes } })
  metrics.gauge('shoal_http_body_memory_bytes', () => bodies.heldBytes)
  let joined: ClusterMember | undefined
  let context: OperationContext = { node, registry }
  const failedPulls = keepFailedPulls()
  const failed = () => failedPulls.total()
  const lastHour = opened.use(openLastHour({ metrics, failed, clock: steadyClock, logger }))
  const problems = async (): Promise<string[]> => [
    ...(await localProblems(node)),
    ...[closed(), contact.problem()].filter((problem) => problem !== undefined),
    ...(joined?.problems() ?? ['the node is still joining its cluster']),
  ]
  const condition = watchCondition({ directory: settings.data, store, problems, clock: steadyClock })
  const page = settings['no-page']
    ? undefined
    : openPageDoor({
        node,
        registry,
        access,
        hosts,
        bodies,
        http: port.address,
        context: () => context,
        member: () => joined,
        lastHour,
        failedPulls,
        condition,
        logger,
      })
  // Before anything says that the node is there: from then on each command is answered, when the start is over.
  const running = Promise.withResolvers<OperationContext>()
  const run: OperationRunner = async (...call) => runOperation(await running.promise, ...call)
  const admin = opened.use(
    await openAdminServer(settings.data, run, logger, {
      answerContent: contentHandler(running.promise),
      call: (peers) => node.peers.call(peers),
    }),
  )
  // After a failed start nobody waits on.
  running.promise.catch(() => undefined)
  opened.defer(() => running.reject(new ClosingError('the node stops')))
  const notes = () => [...roomNotes(store), ...replacementNotes(import.meta.filename)]
  const health = healthEndpoints({ problems, notes }, metrics, hosts)
  if (settings.metrics !== undefined) opened.use(await openMetricsPort(settings.metrics, { health, logger }))
  const besides: Middleware = (request, next) =>
    health(request, page === undefined ? next : () => page.middleware(request, next))
  metrics.gauge('shoal_ready', async () => ((await problems()).length === 0 ? 1 : 0))
  metrics.gauge('shoal_build_info', () => 1, { version: node.version })
  const environment = process.env
  const { tracer } = opened.use(
    await openReports({ node, address: port.address, environment, failedPulls, logger, metrics }),
  )
  const serve = () =>
    port.serve(
      createHttpHandler({
        registry,
        access,
        hosts,
        bodies,
        answers,
        logger,
        metrics,
        tracer,
        besides,
        inWords: (message) => node.peers.inWords(message),
      }),
    )
  if (opens === 'now') serve()
  opened.use(port)
  // Closed before the port: what follows the page's events would keep it open.
  opened.use(page)
  await steadyClock.sleep(firstAnswersMs)
  // Loaded only now: libp2p takes longer to load than everything else together, and what is here can be served without it.
  const { openMember } = await import('./cluster/cluster.ts')
  const member = opened.use(await openMember(node, mirror, contact, condition, logger, metrics))
  elsewhere.arrive(member.elsewhere)
  if (opens === 'later') {
    await untilAccessRules(settings, names, steadyClock)
    serve()
  }
  const serving = { startedMs: steadyClock.now(), http: port.address, scheme: port.scheme }
  const door = { tlsEndMs: () => tls.endMs(), closed, outdated: () => contact.problem() }
  context = { node, registry, member, upstreams, serving, door }
  joined = member
  const keeper = opened.use(openNodeKeeper({ node, registry, member, logger, metrics }))
  const placed = opened.use(await openNodeCopies({ node, registry, member, logger, metrics }))
  copies = placed
  late.arrive(placed)
  context = { ...context, copies: placed }
  running.resolve(context)
  // Closed before what they use: no command begins on a node that stops.
  opened.use(admin)
  opened.use(
    openNodeRoom({
      node,
      registry,
      member,
      keeper,
      isSurplus: (...blob) => placed.isSurplus(...blob),
      logger,
    }),
  )
  opened.use(openJanitor(node, { keeper, clock: steadyClock, logger }))
  const { members, peerId: self } = member.swarm
  const look = async (): Promise<ClusterSeen> => ({
    connected: members.peers(),
    missing: (await members.missing()).length,
  })
  opened.use(openRetainer({ node, self, look, findPulls: placed.findPulls, clock: steadyClock, logger }))
  opened.use(openScrubber(node, { clock: steadyClock, logger }))
  opened.use(openIdleHeap(processHeap(), { rest: () => store.rest(), clock: steadyClock, logger }))
  opened.use(openCodeCache(module.getCompileCacheDir(), { clock: wallClock, logger }))
  const resources = opened.move()
  return {
    p2pAddress: member.p2pAddress,
    async [Symbol.asyncDispose]() {
      logger.info({}, 'stopping')
      await resources.disposeAsync()
    },
  }
}

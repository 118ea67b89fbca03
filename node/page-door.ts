/** The page of a node: loaded when somebody first looks at it, and given what it may see. */
import type { Middleware } from 'koa'
import type { Access } from '../src/access/access.ts'
import { type Logger, steadyClock } from '../src/base/base.ts'
import type { BodyWatch, Hosts } from '../src/http/http.ts'
import type { Registry } from '../src/registry/registry.ts'
import { clusterId } from '../src/swarm/cluster/cluster.ts'
import { openRefusalLog, type RefusalLog } from './audit/refusals.ts'
import { askActivity } from './cluster/activity.ts'
import type { ClusterMember } from './cluster/cluster.ts'
import type { Condition } from './cluster/condition.ts'
import { usualDocker } from './doctor/check.ts'
import type { Diagnosis } from './doctor/doctor.ts'
import type { LastHour } from './last-hour.ts'
import { late } from './late.ts'
import type { LocalNode } from './local-node.ts'
import type { Measured } from './measured.ts'
import type { OperationContext, OperationName } from './operations/operations.ts'
import type { Reach } from './operations/reach.ts'
import { runOperation } from './operations/run-operation.ts'
import type { NodeStatus } from './operations/status.ts'
import type { Page, PageMember, PageNode } from './page/page.ts'
import type { FailedPulls } from './requests/failed-pulls.ts'
import { address, isLoopback, registryName } from './settings/kinds.ts'

export interface PageDoorOptions {
  node: LocalNode
  registry: Registry
  access: Access
  hosts: Hosts
  bodies: BodyWatch
  /** HOST:PORT on which clients are served. */
  http: string
  /** Without a member until the node has joined its cluster. */
  context(): OperationContext
  member(): ClusterMember | undefined
  lastHour: LastHour
  failedPulls: FailedPulls
  condition: Pick<Measured<Condition>, 'get'>
  logger: Logger
  /** Where the built files are; default where `npm run build:page` puts them. */
  directory?: string
}

export interface PageDoor extends AsyncDisposable {
  readonly middleware: Middleware
}

export function openPageDoor(options: PageDoorOptions): PageDoor {
  let opening: Promise<Page> | undefined
  const refusals = openRefusalLog(options.node.audit)
  return {
    middleware: async (context, next) => {
      if (!/^\/(?:$|page\/|api\/)/.test(context.path)) return next()
      opening ??= open(options, refusals).catch((error: unknown) => {
        opening = undefined
        throw error
      })
      const page = await opening
      await page.middleware(context, next)
    },
    async [Symbol.asyncDispose]() {
      const page = await opening
      await page?.[Symbol.asyncDispose]()
      refusals[Symbol.dispose]()
    },
  }
}

async function open(options: PageDoorOptions, refusals: RefusalLog): Promise<Page> {
  const { node, access, hosts, bodies, logger, directory } = options
  const { openPage } = await late(() => import('./page/page.ts'))
  const { http, 'page-changes': mayChange } = node.settings
  return openPage({
    node: nodeOf(options, refusals),
    access,
    hosts,
    bodies,
    mayChange: mayChange ? 'anyone' : isLoopback(http.host) ? 'loopback' : 'nobody',
    clock: steadyClock,
    logger,
    ...(directory === undefined ? {} : { directory }),
  })
}

function nodeOf(options: PageDoorOptions, refusals: RefusalLog): PageNode {
  const { node, registry, http, context, member, lastHour, failedPulls, condition } = options
  const { settings, store, names, membership, version, name, audit } = node
  return {
    self: membership.identity.peerId,
    cluster: clusterId(membership.cluster),
    version,
    name,
    http: registryName(address(http)),
    limits: { upload: settings['max-upload'], download: settings['max-download'] },
    collects: {
      graceMs: settings['gc-grace'],
      untaggedMs: settings['keep-untagged'],
      everyMs: settings['gc-interval'],
    },
    mayDelete: !settings['no-delete'],
    names,
    store,
    diagnose: () => diagnose(node, context()),
    short: () => context().copies?.short() ?? [],
    condition: () => condition.get(),
    lastHour: () => ({
      minutes: lastHour.minutes(),
      failures: failedPulls
        .list()
        .map(({ reason, ...failure }) => ({ ...failure, reason: node.peers.inWords(reason) })),
    }),
    hostName: (peer) => node.peers.nameOf(peer),
    writesAccounts() {
      return names.authority.holds() || names.signsAs(membership.identity.publicKey) !== undefined
    },
    operate: async (name, params, { origin, signal }) => {
      const asked = origin === undefined ? context() : { ...context(), origin }
      return (await runOperation(asked, name, params, () => undefined, { signal })) as never
    },
    async deleteTag(repository, tag, origin) {
      await registry.deletion.deleteManifest(repository, { tag }, { by: origin.account })
      audit.write({ action: 'delete', ...origin, kind: 'tag', repository, reference: tag })
    },
    refused: (code, origin) => refusals.write({ action: 'sign-in refused', ...origin, code }),
    member() {
      const joined = member()
      return joined === undefined ? undefined : memberOf(joined)
    },
  }
}

async function diagnose(node: LocalNode, context: OperationContext): Promise<Diagnosis[]> {
  const doctor = await late(() => import('./doctor/doctor.ts'))
  const { signal } = new AbortController()
  const ask = async (name: OperationName) =>
    await runOperation(context, name, {}, () => undefined, { signal })
  const running =
    context.member === undefined
      ? {}
      : { node: { status: (await ask('status')) as NodeStatus, reach: (await ask('reach')) as Reach } }
  const found = await doctor.diagnose({ settings: node.settings, docker: usualDocker, ...running })
  return doctor.diagnosesInWords(found, (text) => node.peers.inWords(text))
}

function memberOf({ swarm, exchange, lost, problems, activities }: ClusterMember): PageMember {
  return {
    list: () => swarm.members.list(),
    lost: () => lost.list(),
    addresses: () => swarm.addresses(),
    exchange: () => exchange.status(),
    observe: (digest) => exchange.observe(digest),
    askActivity: (peer, options) => activities.use(peer, (channel) => askActivity(channel, options), options),
    problems,
  }
}

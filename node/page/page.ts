/** The page: what an operator sees of the cluster in a browser. Files that were built, an API that answers JSON, and events. */
import type { Middleware } from 'koa'
import type { Access } from '../../src/access/access.ts'
import type { Clock, Logger } from '../../src/base/base.ts'
import type { ExchangeStatus, TransferView } from '../../src/exchange/exchange.ts'
import type { BodyWatch, Hosts } from '../../src/http/http.ts'
import type { Digest, Repository, Tag } from '../../src/oci/oci.ts'
import type { Debt } from '../../src/placement/placement.ts'
import type { Ledger, Names } from '../../src/records/records.ts'
import type { Store } from '../../src/store/store.ts'
import type { Member } from '../../src/swarm/swarm.ts'
import type { Origin } from '../audit/audited-operations.ts'
import type { Activity } from '../cluster/activity.ts'
import type { LostMember } from '../cluster/lost-members.ts'
import type { Diagnosis } from '../doctor/doctor.ts'
import type { OperationName, OperationTypes } from '../operations/operations.ts'
import { PageAccounts } from './server/accounts.ts'
import { createApi } from './server/api.ts'
import { Assets, builtPage } from './server/assets.ts'
import { Changes, type MayChange } from './server/changes.ts'
import { DoctorReports } from './server/doctor.ts'
import { guard } from './server/guard.ts'
import { PageListing } from './server/listing.ts'
import { Live } from './server/live.ts'
import { PageMembers } from './server/members.ts'
import { Observatory } from './server/observatory.ts'
import { RuleReports } from './server/rules.ts'
import { SameOrigin } from './server/same-origin.ts'
import { StorageReports } from './server/storage.ts'
import { Visitors } from './server/visitors.ts'

/** Everything that the page needs of the node. */
export interface PageNode {
  readonly self: string
  readonly cluster: string
  readonly version: string
  readonly name: string
  /** HOST:PORT on which clients are served. */
  readonly http: string
  readonly limits: { upload: number; download: number }
  /** `untaggedMs` may be Infinity. */
  readonly collects: { graceMs: number; untaggedMs: number; everyMs: number }
  /** Whether clients may delete at all. */
  readonly mayDelete: boolean
  readonly names: Names & Pick<Ledger, 'policy' | 'authority'>
  readonly store: Pick<Store, 'manifests' | 'blobs' | 'links'>
  /** As `shoal doctor` does on its host. */
  diagnose(): Promise<Diagnosis[]>
  /** What this node knows to be short of copies. */
  short(): Debt[]
  /** What a host is called, also one that is away. */
  hostName(peer: string): string | undefined
  /** Whether what this node signs of accounts, members and invitations counts. */
  writesAccounts(): boolean
  /** Throws CodedError. */
  operate<N extends OperationName>(
    name: N,
    params: OperationTypes[N]['params'],
    options: { signal: AbortSignal; origin?: Origin },
  ): Promise<OperationTypes[N]['result']>
  /** Throws OciError. */
  deleteTag(repository: Repository, tag: Tag, origin: Origin): Promise<void>
  /** Tells the audit log who was not let in. */
  refused(code: string, origin: Origin): void
  /** `undefined` until the node has joined its cluster. */
  member(): PageMember | undefined
}

/** The node as a member of its cluster. */
export interface PageMember {
  list(): Member[]
  lost(): LostMember[]
  addresses(): string[]
  exchange(): ExchangeStatus
  observe(digest: Digest): TransferView | undefined
  askActivity(peer: string, options: { signal: AbortSignal }): Promise<Activity>
  problems(): string[]
}

export interface PageOptions {
  node: PageNode
  hosts: Hosts
  bodies: BodyWatch
  access: Access
  /** Who may change something without signing in: nobody, browsers that reach it as localhost, or anyone. */
  mayChange: MayChange
  clock: Clock
  logger: Logger
  /** Where the built files are; default where `npm run build:page` puts them. */
  directory?: string
}

export interface Page extends AsyncDisposable {
  readonly middleware: Middleware
}

export function openPage(options: PageOptions): Page {
  const { node, access, hosts, bodies, mayChange, clock, logger, directory = builtPage } = options
  const visitors = new Visitors(access)
  const assets = new Assets(directory)
  const listing = new PageListing(node)
  const observatory = new Observatory(node, { clock, logger })
  const live = new Live(observatory, { clock, logger })
  const storage = new StorageReports(node, clock)
  const rules = new RuleReports(node, clock)
  const changes = new Changes(node, {
    mayChange,
    logger,
    onCollected: () => storage.forget(),
    onKept: () => rules.forget(),
  })
  const doctor = new DoctorReports(node, clock)
  const accounts = new PageAccounts(node, visitors)
  const members = new PageMembers(node)
  const unfollow = [listing.follow(), observatory.follow(), accounts.follow(), live.follow(node.names)]
  const letIn = guard(hosts)
  const sameOrigin = new SameOrigin(bodies)
  const api = createApi({
    node,
    visitors,
    sameOrigin,
    listing,
    live,
    changes,
    accounts,
    members,
    storage,
    rules,
    doctor,
    logger,
  })
  return {
    middleware: async (context, next) => {
      const { path } = context
      const isPage = path === '/' || path.startsWith('/page/')
      if (!isPage && !path.startsWith('/api/')) return next()
      await api(context, async () => {
        await letIn(context, async () => undefined)
        if (!isPage || (context.method !== 'GET' && context.method !== 'HEAD')) return
        await assets.serve(context, path === '/' ? 'index.html' : path.slice('/page/'.length))
      })
    },
    async [Symbol.asyncDispose]() {
      for (const stop of unfollow) stop()
      await live[Symbol.asyncDispose]()
    },
  }
}

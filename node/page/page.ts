/** The page: what an operator sees of the cluster in a browser. Files that were built, an API that answers JSON, and events. */
import type { Middleware } from 'koa'
import type { ExchangeStatus, TransferView } from '../../src/exchange/exchange.ts'
import type { Hosts } from '../../src/http/http.ts'
import type { Digest, Repository, Tag } from '../../src/oci/oci.ts'
import type { Debt } from '../../src/placement/placement.ts'
import type { Ledger, Names } from '../../src/records/records.ts'
import type { Store } from '../../src/store/store.ts'
import type { Member } from '../../src/swarm/swarm.ts'
import type { Origin } from '../audit/audited-operations.ts'
import type { Activity } from '../cluster/activity.ts'
import type { Condition } from '../cluster/condition.ts'
import type { LostMember } from '../cluster/lost-members.ts'
import type { Diagnosis } from '../doctor/doctor.ts'
import type { OperationName, OperationTypes } from '../operations/operations.ts'
import type { HourAnswer } from './answers/hour.ts'
import { createApi } from './server/api.ts'
import { Assets, builtPage } from './server/assets.ts'
import { guard } from './server/guard.ts'
import { makeParts, type PartsOptions } from './server/parts.ts'

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
  /** As it tells the other members. */
  condition(): Promise<Condition>
  /** What was pulled, and what could not be. */
  lastHour(): Omit<HourAnswer, 'nowMs'>
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

export interface PageOptions extends PartsOptions {
  hosts: Hosts
  /** Where the built files are; default where `npm run build:page` puts them. */
  directory?: string
}

export interface Page extends AsyncDisposable {
  readonly middleware: Middleware
}

export function openPage({ hosts, directory = builtPage, ...options }: PageOptions): Page {
  const assets = new Assets(directory)
  const parts = makeParts(options)
  const { listing, observatory, accounts, live } = parts
  const unfollow = [
    listing.follow(),
    observatory.follow(),
    accounts.follow(),
    live.follow(options.node.names),
  ]
  const letIn = guard(hosts)
  const api = createApi(parts)
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

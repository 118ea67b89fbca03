/** What a node is without any network: its identity, database, store, ledger and registry, opened together. */
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { CodedError, type Logger, type Metrics, noMetrics, steadyClock, wallClock } from '../src/base/base.ts'
import type { Digest, Repository } from '../src/oci/oci.ts'
import {
  type Debt,
  isKept,
  openRuleBook,
  type RosterRow,
  type RuleBook,
  type RuleText,
} from '../src/placement/placement.ts'
import { type Ledger, MembersTime, openLedger } from '../src/records/records.ts'
import {
  type CollectOptions,
  type CollectReport,
  type CutTable,
  type Database,
  describeDropped,
  diskUsage,
  type FileStore,
  openDatabase,
  openStore,
  readDropped,
  type Untagged,
} from '../src/store/store.ts'
import { type AuditLog, openAuditLog } from './audit/audit-log.ts'
import type { Budgets } from './budgets.ts'
import { checkDataFormat, markDataFormat } from './data-format.ts'
import { DiskMeter } from './disk-usage.ts'
import { type Membership, openMembership } from './membership.ts'
import { openMender } from './mender.ts'
import { takeUpAuthority } from './operations/authority.ts'
import { PeerNames } from './peer-names.ts'
import { openPulls, type Pulls } from './pulls.ts'
import type { DiskShare } from './settings/kinds.ts'
import type { Settings } from './settings/settings.ts'
import { readVersion } from './version.ts'

/** A sublevel of the node's database with texts for keys and bytes for values. */
export type BytesTable = Awaited<ReturnType<typeof openBytesTable>>

/** A sublevel of it with texts for keys and JSON for values. */
type Table<T> = Awaited<ReturnType<typeof openTable<T>>>

export interface LocalNode extends AsyncDisposable {
  readonly settings: Settings
  readonly budgets: Budgets | undefined
  readonly store: FileStore
  readonly names: Ledger
  readonly membersTime: MembersTime
  readonly membership: Membership
  /** Where libp2p keeps its peers and the DHT its records. */
  readonly swarmTable: BytesTable
  /** Signed piece lists by digest. */
  readonly pieceListTable: BytesTable
  /** What is short of copies, and the members that it is to be placed on. */
  readonly debtTable: Table<Debt>
  readonly rosterTable: Table<RosterRow[]>
  /** What clients of this node pulled when. */
  readonly pulls: Pulls
  /** What hosts are called. */
  readonly peers: PeerNames
  readonly disk: DiskMeter
  readonly audit: AuditLog
  readonly keepRules: RuleBook
  /** Whether what the disk took of links and references was made anew. */
  isWhole(): boolean
  /** Why the database takes nothing; `undefined` when it does. */
  databaseProblem(): string | undefined
  /** What the database dropped as damaged when it was opened. */
  readonly dropped: readonly string[]
  /** What was cut out of the database as damaged. */
  readonly cut: readonly CutTable[]
  readonly version: string
  /** What it is called where members are listed. */
  readonly name: string
  /** The store's collector, told by the ledger which manifests live, and by the keep rules which stay whatever it says. */
  collect(
    options?: Partial<Omit<CollectOptions, 'isLive' | 'untagging'>> & { untaggedMs?: number },
  ): Promise<CollectReport>
}

export interface LocalNodeOptions {
  settings: Settings
  logger: Logger
  metrics?: Metrics
  /** False refuses a data directory that no node has made. */
  create: boolean
  /** Default as on a roomy machine. */
  budgets?: Budgets | undefined
}

/** The data directory that a command is to work on is none. */
class NoDataError extends CodedError {
  readonly code = 'NO_DATA'
}

export async function openLocalNode({
  settings,
  logger,
  metrics = noMetrics,
  create,
  budgets,
}: LocalNodeOptions): Promise<LocalNode> {
  const directory = settings.data
  if (!create && !existsSync(join(directory, 'db'))) {
    throw new NoDataError(
      `${directory} is no node's data directory; name it with --data, or start a node with shoal serve`,
    )
  }
  await using opened = new AsyncDisposableStack()
  await makeFolder(directory)
  // Before the database: opening it writes to it.
  await checkDataFormat(directory)
  const isNew = !existsSync(join(directory, 'db'))
  const database = opened.adopt(await openDatabase(directory, { logger, metrics }), (open) => open.close())
  const dropped = await readDropped(directory)
  if (dropped.length > 0) logger.warn({ dropped }, describeDropped(dropped))
  await markDataFormat(directory)
  // After the lock on the database: two starting nodes must not both write a new identity.
  const membership = await openMembership(directory, {
    settings,
    isUnused: () => holdsNobodyElse(database),
    logger,
  })
  const { identity, cluster, secrets } = membership
  const audit = opened.use(
    openAuditLog({ directory, node: identity.peerId, nowMs: () => wallClock.now(), logger }),
  )
  const minFreeBytes = settings['min-free']
  const store = opened.use(
    await openStore({
      directory,
      database,
      logger,
      metrics,
      minFreeBytes,
      maxDiskBytes: await bytesOf(settings['max-disk'], directory),
      graceMs: settings['gc-grace'],
      ...budgets,
    }),
  )
  const membersTime = new MembersTime(wallClock, steadyClock)
  const names = opened.use(
    await openLedger({
      db: database,
      identity,
      authority: cluster.authority,
      time: membersTime,
      logger,
      metrics,
    }),
  )
  await takeUpAuthority(directory, names, logger)
  secrets.trust((key) => names.signsAs(key) === 'authority')
  const mender = opened.use(await openMender({ database, store, names, logger }))
  const swarmTable = await openBytesTable(database, 'swarm')
  const pieceListTable = await openBytesTable(database, 'piece-lists')
  const keepTable = database.sublevel<string, RuleText>('keep', {
    keyEncoding: 'utf8',
    valueEncoding: 'json',
  })
  const keepRules = await openRuleBook(keepTable)
  const debtTable = await openTable<Debt>(database, 'copies')
  const rosterTable = await openTable<RosterRow[]>(database, 'roster')
  const pullTable = await openTable<number>(database, 'pulls')
  const isDamaged = dropped.length > 0 || database.damage.tables.length > 0
  const pulls = opened.use(
    await openPulls({
      table: pullTable,
      missesEarlier: isDamaged || (!isNew && (await pullTable.get('now')) === undefined),
      isLive: async (...manifest) => (await names.findManifest(...manifest)) !== undefined,
      clock: steadyClock,
      logger,
    }),
  )
  const name = settings.name ?? hostname().slice(0, 64)
  const peers = opened.use(
    await PeerNames.open({
      table: await openTable<string>(database, 'peer-names'),
      self: { peer: identity.peerId, name },
      given: () => givenNames(names),
      clock: steadyClock,
      logger,
    }),
  )
  const disk = opened.use(new DiskMeter({ directory, store, minFreeBytes, clock: steadyClock }))
  const resources = opened.move()
  return {
    settings,
    budgets,
    store,
    names,
    membersTime,
    membership,
    swarmTable,
    pieceListTable,
    debtTable,
    rosterTable,
    pulls,
    peers,
    audit,
    disk,
    keepRules,
    isWhole: () => mender.isDone,
    dropped,
    cut: database.damage.tables,
    databaseProblem: () => database.problem(),
    version: await readVersion(),
    name,
    async collect({ untaggedMs: keepMs = settings['keep-untagged'], ...options } = {}) {
      await mender.finish()
      return await store.collect({
        isLive: async (repository, digest) =>
          (await names.findManifest(repository, digest)) !== undefined ||
          (await isKept(names, keepRules.list(), repository, digest)),
        ...(keepMs === Number.POSITIVE_INFINITY
          ? {}
          : { untagging: { keepMs, find: (...manifest) => findUntagged(names, ...manifest) } }),
        graceMs: settings['gc-grace'],
        ...options,
      })
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

function* givenNames(names: Ledger): Iterable<[peer: string, name: string]> {
  for (const [peer, { name }] of names.roster().entries) if (name !== undefined) yield [peer, name]
}

async function bytesOf(share: DiskShare | undefined, directory: string): Promise<number | undefined> {
  if (share === undefined) return undefined
  return 'bytes' in share ? share.bytes : Math.floor(share.share * (await diskUsage(directory)).sizeBytes)
}

/** Keep rules go by tags, so what they hold has one, or hangs on what has. */
async function findUntagged(
  names: Ledger,
  repository: Repository,
  digest: Digest,
): Promise<Untagged | undefined> {
  const entry = await names.findManifest(repository, digest)
  if (entry === undefined || (await names.tagsOf(repository, digest, { limit: 1 })).length > 0)
    return undefined
  const { writtenMs: statedMs, subject } = entry
  return { statedMs, ...(subject === undefined ? {} : { subject }) }
}

/**
 * With the folders above it. Not by `recursive`, with which Node never ends where the system says of a folder that stands that
 * it is not there, as in /proc.
 */
async function makeFolder(path: string): Promise<void> {
  if (existsSync(path)) return
  if (!existsSync(dirname(path))) await makeFolder(dirname(path))
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    // Another start was quicker.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}

/** Whether nothing was published, and no member but this node is known. */
async function holdsNobodyElse(database: Database): Promise<boolean> {
  const peers = await database.sublevel('swarm').keys({ gt: '/peers/', lt: '/peers0', limit: 2 }).all()
  const records = await database.sublevel('records').keys({ limit: 1 }).all()
  // libp2p keeps what it knows of this node itself.
  return peers.length <= 1 && records.length === 0
}

async function openTable<T>(database: Database, name: string) {
  const table = database.sublevel<string, T>(name, { keyEncoding: 'utf8', valueEncoding: 'json' })
  await table.open()
  return table
}

async function openBytesTable(database: Database, name: string) {
  const table = database.sublevel<string, Uint8Array>(name, { keyEncoding: 'utf8', valueEncoding: 'view' })
  await table.open()
  return table
}

/**
 * Retention rules of the policy, carried out: tags that no rule keeps are deleted as of the moment that they were seen, so that
 * one that was pushed elsewhere meanwhile stands.
 *
 * Of each repository one node does it, the one that ranks first among the members that are connected and may publish there. It
 * waits until it has known most of the cluster for a while: a node that was cut off or has just started may count tags as new
 * that were deleted long ago, and so take others for old.
 */
import { type Clock, type Logger, logFailure, paged, parseDuration, wallClock } from '../src/base/base.ts'
import type { Digest, Repository, Tag } from '../src/oci/oci.ts'
import { maxAsked } from '../src/placement/placement.ts'
import { type Change, matchesGlob, NotPermittedError, type RetentionRule } from '../src/records/records.ts'
import { expiredTags, type Retention, type WrittenTag } from '../src/registry/registry.ts'
import { rankMembers } from '../src/upstream/upstream.ts'
import type { LocalNode } from './local-node.ts'
import { asksNobody, type FindPulls } from './pull-inquiry.ts'

export interface JudgedTag {
  repository: Repository
  tag: Tag
  writtenMs: number
  /** The pattern of the rule that it goes by. */
  rule: string
  /** In words: what does not keep it, or which pull does. */
  why: string
}

/** One that no rule keeps. */
export type ExpiredTag = JudgedTag

export interface FoundTags {
  expired: ExpiredTag[]
  /** Those that stay for their pulls alone. */
  kept: JudgedTag[]
}

type RetentionNode = Pick<LocalNode, 'names' | 'audit'>

/** At once; what is more goes in the next round. */
const mostExpired = 10_000
/** Asked about together, of however many repositories: as many as one question to a member holds. */
const judgedAtOnce = maxAsked
/** Deleted in one write. */
const deletedAtOnce = 100

/** What no rule keeps, of repositories that `isOurs`. */
export async function findExpired(
  { names }: Pick<RetentionNode, 'names'>,
  { isOurs = () => true, nowMs = wallClock.now(), findPulls = asksNobody, signal }: FindOptions,
): Promise<FoundTags> {
  const { retention: rules = [] } = names.policy()
  const found: FoundTags = { expired: [], kept: [] }
  if (rules.length === 0) return found
  let unkept: Unkept[] = []
  const judge = async (): Promise<void> => {
    const pulls = await pullsOf(unkept, findPulls, { signal })
    for (const { judged, why } of unkept) {
      const pulled = pulls.get(judged)
      if (pulled === undefined) found.expired.push({ ...judged, why })
      else if (found.kept.length < mostExpired) found.kept.push({ ...judged, why: pulled })
    }
    unkept = []
  }
  for await (const repository of paged((page) => names.listRepositories(page))) {
    signal.throwIfAborted()
    const rule = rules.find(({ repositories }) => matchesGlob(repositories, repository))
    if (rule === undefined || !isOurs(repository)) continue
    const tags: (WrittenTag & { digest: Digest })[] = []
    for await (const tag of paged((page) => names.listTags(repository, page))) {
      signal.throwIfAborted()
      const entry = await names.findTag(repository, tag)
      // What is mirrored is its upstream's to keep.
      if (entry !== undefined && entry.checkedMs === undefined)
        tags.push({ tag, writtenMs: entry.writtenMs, digest: entry.digest })
    }
    const why = whyExpired(rule)
    const pulledWithinMs = spanMs(rule.keepPulledWithin)
    const left = mostExpired - found.expired.length - unkept.length
    for (const { tag, writtenMs, digest } of expiredTags(readRule(rule), tags, nowMs).slice(0, left)) {
      const judged = { repository, tag, writtenMs, rule: rule.repositories }
      unkept.push({ judged, why, digest, pulledWithinMs })
    }
    if (unkept.length >= judgedAtOnce) await judge()
    if (found.expired.length >= mostExpired) break
  }
  await judge()
  return found
}

interface Unkept {
  judged: Omit<JudgedTag, 'why'>
  /** As it reads where no pull keeps it. */
  why: string
  digest: Digest
  pulledWithinMs: number | undefined
}

/** Of those that a pull keeps, which. Asked for all repositories of one time at once: each question goes to every member. */
async function pullsOf(
  unkept: readonly Unkept[],
  findPulls: FindPulls,
  options: { signal: AbortSignal },
): Promise<Map<Unkept['judged'], string>> {
  const pulls = new Map<Unkept['judged'], string>()
  for (const [withinMs, some] of Map.groupBy(unkept, ({ pulledWithinMs }) => pulledWithinMs)) {
    if (withinMs === undefined) continue
    const images = some.map(({ judged: { repository }, digest }) => ({ repository, digest }))
    const said = await findPulls(images, withinMs, options)
    for (const [at, { judged }] of some.entries()) {
      const pulled = said[at]
      if (pulled !== undefined) pulls.set(judged, pulled)
    }
  }
  return pulls
}

function whyExpired({ keepTags, keepMatching = [], keepWithin, keepPulledWithin }: RetentionRule): string {
  const reasons = [
    ...(keepTags ? [keepTags === 1 ? 'is not the newest' : `is not among the ${keepTags} newest`] : []),
    ...(keepMatching.length === 0 ? [] : [`matches none of ${keepMatching.join(', ')}`]),
    ...(keepWithin === undefined ? [] : [`was not written within ${keepWithin}`]),
    ...(keepPulledWithin === undefined ? [] : [`was neither written nor pulled within ${keepPulledWithin}`]),
  ]
  return `it ${reasons.join(', and ')}`
}

function spanMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDuration(text)
}

interface FindOptions {
  isOurs?: (repository: Repository) => boolean
  nowMs?: number
  /** Default nobody can be asked, and what pulls might keep stays. */
  findPulls?: FindPulls
  signal: AbortSignal
}

/** Deletes them, but for those that were written anew since, and those that this node may not delete. Returns those that went. */
export async function deleteExpired(
  { names, audit }: RetentionNode,
  expired: readonly ExpiredTag[],
  { signal }: { signal: AbortSignal },
): Promise<ExpiredTag[]> {
  const gone: ExpiredTag[] = []
  for (let from = 0; from < expired.length; from += deletedAtOnce) {
    signal.throwIfAborted()
    gone.push(...(await deleteSome(names, expired.slice(from, from + deletedAtOnce))))
  }
  for (const [repository, some] of Map.groupBy(gone, ({ repository }) => repository))
    audit.write({ action: 'retention', from: 'policy', repository, tags: some.map(({ tag }) => tag) })
  return gone
}

async function deleteSome(names: RetentionNode['names'], some: readonly ExpiredTag[]): Promise<ExpiredTag[]> {
  let standing: ExpiredTag[] = []
  try {
    await names.publish(async () => {
      standing = []
      for (const expired of some) {
        const entry = await names.findTag(expired.repository, expired.tag)
        if (entry?.writtenMs === expired.writtenMs) standing.push(expired)
      }
      return standing.map(
        ({ repository, tag }): Change => ({
          kind: 'tag',
          repository,
          tag,
          value: undefined,
          isTakenAlong: true,
        }),
      )
    })
    return standing
  } catch (error) {
    if (!(error instanceof NotPermittedError)) throw error
    // One of them is immutable, or another's: it stays, and keeps no other from going.
    const [first] = some
    if (some.length < 2 || first === undefined) return []
    const middle = some.length >> 1
    return [
      ...(await deleteSome(names, some.slice(0, middle))),
      ...(await deleteSome(names, some.slice(middle))),
    ]
  }
}

/** Without its pulls. Nobody can pull a tag before it is written, so that counts as one. */
function readRule({ keepTags, keepMatching = [], keepWithin, keepPulledWithin }: RetentionRule): Retention {
  const spans = [spanMs(keepWithin), spanMs(keepPulledWithin)].filter((ms) => ms !== undefined)
  return {
    ...(keepTags === undefined ? {} : { keepTags }),
    ...(spans.length === 0 ? {} : { keepWithinMs: Math.max(...spans) }),
    isMatching: (tag) => keepMatching.some((pattern) => matchesGlob(pattern, tag)),
  }
}

export interface ClusterSeen {
  /** Members that are connected. */
  connected: readonly string[]
  /** Members of earlier that are not. */
  missing: number
}

/** So long most of the cluster has to be there before anything is deleted. */
const settleMs = 10 * 60_000

/** Whether what this node knows can be relied on for a deletion: most of the cluster has been there for a while. */
export class Settling {
  readonly #clock: Clock
  #sinceMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#sinceMs = clock.now()
  }

  /** To be told once a minute. */
  see(seen: ClusterSeen): void {
    if (areTooManyMissing(seen)) this.#sinceMs = this.#clock.now()
  }

  get isSettled(): boolean {
    return this.#clock.now() - this.#sinceMs >= settleMs
  }
}

/** More than a third of all that this node knows, itself among them. */
export function areTooManyMissing({ connected, missing }: ClusterSeen): boolean {
  return 3 * missing > connected.length + missing + 1
}

export interface RetainerOptions {
  node: RetentionNode & Pick<LocalNode, 'settings'>
  self: string
  look(): Promise<ClusterSeen>
  findPulls?: FindPulls
  clock: Clock
  logger: Logger
}

const lookEveryMs = 60_000

/** Deletes once in --gc-interval, until it is disposed of. */
export function openRetainer({
  node,
  self,
  look,
  findPulls = asksNobody,
  clock,
  logger,
}: RetainerOptions): AsyncDisposable {
  const controller = new AbortController()
  const { signal } = controller
  const settling = new Settling(clock)
  const intervalMs = node.settings['gc-interval']
  let doneMs = clock.now()

  async function round(): Promise<void> {
    const seen = await look()
    settling.see(seen)
    if (!settling.isSettled || clock.now() - doneMs < intervalMs) return
    doneMs = clock.now()
    const isOurs = (repository: Repository): boolean => {
      const able = [self, ...seen.connected].filter(
        (peer) => node.names.permission(peer, repository) !== undefined,
      )
      return rankMembers(`retention ${repository}`, able)[0] === self
    }
    const { expired } = await findExpired(node, { isOurs, findPulls, signal })
    const gone = await deleteExpired(node, expired, { signal })
    if (gone.length > 0) logger.info({ tags: gone.length }, 'deleted tags that no retention rule keeps')
  }

  async function loop(): Promise<void> {
    while (!signal.aborted) {
      try {
        await clock.sleep(lookEveryMs, { signal })
        await round()
      } catch (error) {
        if (!signal.aborted) logFailure(logger, error, 'retention rules could not be carried out')
      }
    }
  }

  const work = intervalMs === 0 ? Promise.resolve() : loop()
  return {
    async [Symbol.asyncDispose]() {
      controller.abort(new Error('the node stops'))
      await work
    },
  }
}

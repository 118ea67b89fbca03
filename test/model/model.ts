/**
 * What a registry, and a cluster of them, may answer.
 *
 * Whoever tests adds to a `History` each write with its begin, end, node and outcome, and each fault; `judge` says of a
 * read's answer what is wrong with it, in words, or nothing. All times are of one observer's clock. What the model holds:
 *
 * - What was acknowledged is seen at its node from then on, and at every other one once they reached each other for
 *   `settleMs`, at once or by way of others, until something with a later say.
 * - The later say is the one that began after the other had ended, beyond the clocks' error, or at a node that knew the
 *   other. Of two that are neither, either may stand, at different nodes until they are settled.
 * - What was refused is never seen; what has an unknown outcome may be, until something later.
 * - Deleting a manifest takes the tags that its node sees pointing to it; a tag whose manifest is deleted is not there. A
 *   push states the manifest and its tags, so what was deleted before is there again.
 * - Content is served where it is, or where who has it can be reached; a manifest's node has all that it refers to.
 *   A blob that no manifest of its repository refers to may be gone, and so may be a manifest without a tag, once nobody stated it
 *   for `untaggedMs`.
 *
 * After everything is healed and `history.isSettled`, all nodes must also agree; the model cannot know on what, so
 * compare their answers with each other.
 */
import type { History, Write, WriteOf } from './history.ts'

export type { Write } from './history.ts'
export { History } from './history.ts'

interface Asked {
  beginMs: number
  endMs: number
  node: string
  repository: string
}

/**
 * `found` with the digest that the answer's bytes hash to; `absent` for a 404; `unavailable` for whatever else promises
 * nothing: a 503 or 429, a timeout, a connection that broke.
 */
export type Answer = { is: 'found'; digest: string } | { is: 'absent' } | { is: 'unavailable' }

export type Read = Asked &
  (
    | { kind: 'tag'; tag: string; answer: Answer; isHead?: boolean }
    | { kind: 'manifest'; digest: string; answer: Answer; isHead?: boolean }
    | { kind: 'blob'; digest: string; answer: Answer }
    /** All tags of the repository; none for a repository that is not known. */
    | { kind: 'list'; tags: string[] }
  )

/** What may be seen of a name: these digests, and whether it may be absent. */
export interface Allowed {
  digests: Set<string>
  absent: boolean
}

export interface ModelOptions {
  /** As `--keep-untagged`; default for ever. */
  untaggedMs?: number
}

/** What is wrong with an answer, in words; `undefined` for one that is allowed. */
export function judge(history: History, read: Read, options: ModelOptions = {}): string | undefined {
  const at = `${read.repository} at ${read.node} from ${read.beginMs} to ${read.endMs}`
  if (read.kind === 'list') {
    const wrong = judgeList(history, read)
    return wrong === undefined ? undefined : `the tags of ${at}: ${wrong}`
  }
  const allowed = allowedFor(history, read, options)
  const name = read.kind === 'tag' ? `the tag ${read.tag}` : `the ${read.kind} ${read.digest}`
  const wrong = judgeAnswer(history, read, allowed, options)
  return wrong === undefined ? undefined : `${name} of ${at} is ${wrong}; allowed: ${describe(allowed)}`
}

/** What may be seen of a tag there and then, wherever the content is. */
export function allowedOfTag(history: History, read: Asked & { tag: string }): Allowed {
  const { repository, tag } = read
  const writes = history.writes.filter(
    (write): write is WriteOf<'push'> | WriteOf<'delete-tag'> =>
      write.repository === repository &&
      ((write.kind === 'push' && write.tags.includes(tag)) ||
        (write.kind === 'delete-tag' && write.tag === tag)),
  )
  const possible = possibleOf(history, read, writes)
  const allowed: Allowed = { digests: new Set(), absent: possible.isInitial }
  for (const write of possible.writes) {
    if (write.kind === 'delete-tag') {
      allowed.absent = true
      continue
    }
    const deletions = deletionsOf(history, read, write.digest)
    if (deletions.some((deletion) => tookAlong(history, read, deletion, write, writes))) continue
    const manifest = allowedOfManifest(history, { ...read, digest: write.digest })
    if (manifest.digests.size > 0) allowed.digests.add(write.digest)
    if (deletions.some((deletion) => !history.isLater(write, deletion))) allowed.absent = true
  }
  // What was taken along is a deletion that stands, unless something else does for certain.
  if (allowed.digests.size === 0) allowed.absent = true
  return allowed
}

/** What may be seen of a manifest by its digest there and then, wherever the content is. */
export function allowedOfManifest(history: History, read: Asked & { digest: string }): Allowed {
  const writes = history.writes.filter(
    (write): write is WriteOf<'push'> | WriteOf<'delete-manifest'> =>
      write.repository === read.repository &&
      (write.kind === 'push' || write.kind === 'delete-manifest') &&
      write.digest === read.digest,
  )
  const possible = possibleOf(history, read, writes)
  const isLive = possible.writes.some(({ kind }) => kind === 'push')
  const isDeleted = possible.writes.some(({ kind }) => kind === 'delete-manifest')
  return { digests: new Set(isLive ? [read.digest] : []), absent: possible.isInitial || isDeleted }
}

function allowedFor(history: History, read: Exclude<Read, { kind: 'list' }>, options: ModelOptions): Allowed {
  if (read.kind === 'tag') return allowedOfTag(history, read)
  if (read.kind === 'blob') return allowedOfBlob(history, read, options)
  const allowed = allowedOfManifest(history, read)
  const isHeld = mustBeHeld(history, read, read.digest, options)
  return isHeld ? allowed : { ...allowed, absent: true }
}

function allowedOfBlob(history: History, read: Asked & { digest: string }, options: ModelOptions): Allowed {
  const { repository, digest } = read
  const here = history.writes.filter((write) => write.repository === repository && hasBegun(write, read))
  const mayBe = here.some((write) => write.kind === 'push-blob' && write.digest === digest)
  const mayBeDeleted = here.some((write) => write.kind === 'delete-blob' && write.digest === digest)
  const isReferred = here.some(
    (write) =>
      write.kind === 'push' &&
      write.blobs.includes(digest) &&
      !allowedOfManifest(history, { ...read, digest: write.digest }).absent &&
      mustBeHeld(history, read, write.digest, options) &&
      isInReach(history, read, write),
  )
  return { digests: new Set(mayBe ? [digest] : []), absent: mayBeDeleted || !isReferred }
}

function judgeAnswer(
  history: History,
  read: Exclude<Read, { kind: 'list' }>,
  allowed: Allowed,
  options: ModelOptions,
): string | undefined {
  const { answer } = read
  if (answer.is === 'found') return allowed.digests.has(answer.digest) ? undefined : answer.digest
  if (allowed.absent) return undefined
  const isHead = 'isHead' in read && read.isHead === true
  if (read.kind === 'blob' || (isHead && answer.is === 'absent')) return answer.is
  // Any of the digests may be what the node meant, so all of them have to be in reach.
  const isServed = [...allowed.digests].every((digest) =>
    history.writes.some(
      (write) =>
        write.kind === 'push' &&
        write.repository === read.repository &&
        write.digest === digest &&
        isInReach(history, read, write) &&
        (read.kind === 'tag' || mustBeHeld(history, read, digest, options)),
    ),
  )
  return isServed ? answer.is : undefined
}

function judgeList(history: History, read: Extract<Read, { kind: 'list' }>): string | undefined {
  const { repository } = read
  const known = new Set(
    history.writes.flatMap((write) =>
      write.kind === 'push' && write.repository === repository ? write.tags : [],
    ),
  )
  for (const tag of new Set([...known, ...read.tags])) {
    const allowed = allowedOfTag(history, { ...read, tag })
    const isListed = read.tags.includes(tag)
    if (isListed && allowed.digests.size === 0) return `${tag} is listed, and must not be there`
    if (!isListed && !allowed.absent) return `${tag} is not listed; allowed: ${describe(allowed)}`
  }
  return undefined
}

/** Which of a name's writes may be what stands there, and whether it may be as if there were none. */
function possibleOf<W extends Write>(
  history: History,
  read: Asked,
  writes: W[],
): { writes: W[]; isInitial: boolean } {
  const isKnown = (write: W): boolean => history.knownMs(write, read.node) <= read.beginMs
  const known = writes.filter(isKnown)
  return {
    writes: writes.filter(
      (write) => hasBegun(write, read) && !known.some((other) => history.isLater(other, write)),
    ),
    isInitial: known.length === 0,
  }
}

function deletionsOf(history: History, read: Asked, digest: string): WriteOf<'delete-manifest'>[] {
  return history.writes.filter(
    (write): write is WriteOf<'delete-manifest'> =>
      write.kind === 'delete-manifest' &&
      write.repository === read.repository &&
      write.digest === digest &&
      hasBegun(write, read),
  )
}

/** Whether the deletion of the manifest certainly deleted the tag too: its node knew that it pointed there, and to nothing else. */
function tookAlong(
  history: History,
  read: Asked,
  deletion: WriteOf<'delete-manifest'>,
  write: WriteOf<'push'>,
  others: Write[],
): boolean {
  if (history.knownMs(deletion, read.node) > read.beginMs) return false
  if (history.knownMs(write, deletion.node) > deletion.beginMs) return false
  return others.every(
    (other) => other === write || other.outcome === 'refused' || history.isLater(write, other),
  )
}

/** Whether a manifest is certainly not given up: one with a tag, one that an index lists, or one that was stated lately. */
function mustBeHeld(
  history: History,
  read: Asked,
  digest: string,
  { untaggedMs = Number.POSITIVE_INFINITY }: ModelOptions,
): boolean {
  const pushes = history.writes.filter(
    (write): write is WriteOf<'push'> => write.kind === 'push' && write.repository === read.repository,
  )
  const isHeld = (wanted: string, seen: Set<string>): boolean => {
    if (seen.has(wanted)) return false
    seen.add(wanted)
    return pushes.some(
      (push) =>
        (push.digest === wanted &&
          (push.beginMs + untaggedMs > read.endMs || push.tags.some((tag) => isNamed(tag, wanted)))) ||
        (push.manifests.includes(wanted) && isHeld(push.digest, seen)),
    )
  }
  const isNamed = (tag: string, wanted: string): boolean => {
    const { digests, absent } = allowedOfTag(history, { ...read, tag })
    return !absent && digests.size === 1 && digests.has(wanted)
  }
  return isHeld(digest, new Set())
}

/** Whether the node of the push still has what was pushed, and can be asked for it, if it is not the one that is read from. */
function isInReach(history: History, read: Asked, push: WriteOf<'push'>): boolean {
  if (push.endMs > read.beginMs || !mustHold(history, push, read.endMs)) return false
  // A node has what it has as soon as it is back; others have to find it.
  const findMs = push.node === read.node ? 0 : history.settleMs
  return history.reached(push.node, read.node, read.beginMs - findMs, read.endMs)
}

/** Whether the node of the push certainly has what was pushed: it was acknowledged, nothing damaged it, and no deletion may have come after. */
export function mustHold(history: History, push: WriteOf<'push'>, atMs: number): boolean {
  if (push.outcome !== 'acknowledged' || !history.keeps(push, atMs)) return false
  return history.writes.every(
    (write) =>
      write.kind !== 'delete-manifest' ||
      write.repository !== push.repository ||
      write.digest !== push.digest ||
      write.outcome === 'refused' ||
      write.beginMs > atMs ||
      history.isLater(push, write),
  )
}

function hasBegun(write: Write, read: Asked): boolean {
  return write.outcome !== 'refused' && write.beginMs <= read.endMs
}

function describe({ digests, absent }: Allowed): string {
  return [...digests, ...(absent ? ['absent'] : [])].join(', ') || 'nothing'
}

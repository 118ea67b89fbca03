/** Which repository a client means: the cluster's own, or an upstream's by its prefix, by `ns`, or by no registry at all. */
import {
  type NameMeaning,
  OciError,
  parseMirroredName,
  type Reference,
  type Repository,
  upstreamOf,
} from '../oci/oci.ts'
import type { Collaborators } from './registry.ts'
import { retryAfterMs } from './resolution.ts'

export interface AskedName {
  repository: Repository
  /** containerd's `?ns=`. */
  ns?: string | undefined
  /** The request's `Host`. */
  host?: string | undefined
}

export interface NamedRepository {
  repository: Repository
  /** True where a name without a registry was taken for an upstream's: what that upstream does not have is no failure. */
  isGuess: boolean
}

export interface Naming {
  /**
   * For reading. A name without a registry is the first upstream's where the cluster has no such repository; with `reference`
   * (of a manifest) the members are asked for it before that is believed. Throws `NAME_UNKNOWN` for an `ns` that is not mirrored,
   * and `DENIED` for an upstream whose content is not for everyone.
   */
  forRead(asked: AskedName, reference?: Reference): Promise<NamedRepository> | NamedRepository
  /** What `forRead` would have to find out: the cluster's own name, and the upstream's that it means otherwise. */
  undecided(asked: AskedName): { own: Repository; otherwise: Repository } | undefined
  /** For pushing. Throws `DENIED` for a mirrored name, unless a member's claim is all that makes it one. */
  forPush(asked: AskedName): NamedRepository
  /** For deleting: forgetting what is mirrored is the operator's right. */
  forDelete(asked: AskedName): Promise<NamedRepository> | NamedRepository
  /** Whether a repository is an upstream's, by whoever's word. */
  isMirrored(repository: Repository): boolean
}

/** More than a node serves at once. */
const maxRemembered = 10_000

export function createNaming({ names, elsewhere, mirror, cache, own }: Collaborators): Naming {
  const { fallback, mirrored } = mirror
  const isMirrored = (upstream: string, name: string): boolean => mirror.wordFor(upstream, name) !== undefined
  /** Names without a registry that are the cluster's own, as of a generation of the records. */
  const owned = new Map<Repository, number>()

  function meaningOf({ repository, ns, host }: AskedName, bare?: string): NameMeaning {
    return parseMirroredName(repository, { ns, host, isMirrored, fallback: bare, mirrored })
  }

  function permitted(repository: Repository, upstream: string | undefined): Repository {
    const refusal = upstream === undefined ? undefined : mirror.refusal(upstream)
    if (refusal !== undefined) throw refusal
    return repository
  }

  async function isOwned(repository: Repository): Promise<boolean> {
    const { generation } = cache
    if (!(await names.hasRepository(repository))) return false
    if (owned.size >= maxRemembered) owned.clear()
    owned.set(repository, generation)
    return true
  }

  /** The cluster's own name wins, and nobody outside is asked for a name that a member knows. */
  async function choose(
    repository: Repository,
    mirrored: Repository,
    reference: Reference | undefined,
  ): Promise<NamedRepository> {
    if (await isOwned(repository)) return { repository, isGuess: false }
    if (!(await names.hasRepository(mirrored))) {
      // Whoever pushes a blob asks for it first; that is nothing to ask an upstream for.
      if (reference === undefined) return { repository, isGuess: false }
      const asked = await ('tag' in reference
        ? elsewhere.askForTag(repository, reference.tag)
        : elsewhere.askForManifest(repository, reference.digest))
      if (await isOwned(repository)) return { repository, isGuess: false }
      if (asked === 'silence') {
        if (own.isPushing(repository)) return { repository, isGuess: false }
        throw new OciError(
          'UNAVAILABLE',
          `whether ${repository} is the cluster's own or ${mirrored} is not known: members that may have it did not answer in time`,
          { retryAfterMs },
        )
      }
    }
    return { repository: mirrored, isGuess: true }
  }

  /** The name as the client wrote it, where a claim alone would have it rewritten as names of the upstream are. */
  function givenName(asked: AskedName, { repository, upstream }: NameMeaning): Repository | undefined {
    if (upstream === undefined || mirror.wordFor(upstream, repository) !== 'claim') return undefined
    return upstreamOf(asked.repository) === upstream ? asked.repository : repository
  }

  /** What was pushed under the name as it was written stays there. */
  async function asGiven(given: Repository, meant: Repository): Promise<NamedRepository> {
    const isThere = own.isPushing(given) || (await isOwned(given))
    return { repository: isThere ? given : meant, isGuess: false }
  }

  function undecidedOf({ repository, otherwise }: NameMeaning) {
    if (otherwise === undefined || owned.get(repository) === cache.generation) return undefined
    return { own: repository, otherwise }
  }

  return {
    isMirrored(repository) {
      const upstream = upstreamOf(repository)
      return upstream !== undefined && isMirrored(upstream, repository)
    },
    forRead(asked, reference) {
      const meaning = meaningOf(asked, fallback)
      const { repository, upstream } = meaning
      const given = givenName(asked, meaning)
      if (given !== undefined && given !== repository) return asGiven(given, repository)
      const undecided = undecidedOf(meaning)
      if (undecided !== undefined) return choose(undecided.own, undecided.otherwise, reference)
      return { repository: permitted(repository, upstream), isGuess: false }
    },
    undecided: (asked) => undecidedOf(meaningOf(asked, fallback)),
    forPush(asked) {
      const meaning = meaningOf(asked)
      const { repository, upstream } = meaning
      if (upstream === undefined) return { repository, isGuess: false }
      const given = givenName(asked, meaning)
      if (given !== undefined) return { repository: given, isGuess: false }
      throw new OciError(
        'DENIED',
        `${repository} mirrors ${upstream}, so nothing can be pushed to it; push to ${upstream} itself, or under a name that does not begin with "${upstream}/"`,
      )
    },
    forDelete(asked) {
      const meaning = meaningOf(asked)
      const { repository } = meaning
      const given = givenName(asked, meaning)
      if (given !== undefined && given !== repository) return asGiven(given, repository)
      return { repository, isGuess: false }
    },
  }
}

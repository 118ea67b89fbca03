/** What a client's name means where registries outside the cluster are mirrored: pure, and the same for every endpoint. */
import { excerpt } from './digest.ts'
import { OciError } from './errors.ts'
import { parseRepository, type Repository } from './reference.ts'

/**
 * By whose word a name is an upstream's: that of this node's configuration or of a rule in the policy, or that of a member
 * alone. Such a `claim` counts for what the cluster has not pushed, and for reading only.
 */
export type MirrorWord = 'rule' | 'claim'

/** How a request names a repository, and which registries it can mean. */
export interface NameContext {
  /** containerd's `?ns=`: the registry that its user named. */
  ns?: string | undefined
  /** The `Host` under which the client reaches this node. */
  host?: string | undefined
  /** Whether `name`, which begins with the upstream's, is mirrored. */
  isMirrored(upstream: string, name: string): boolean
  /** What a name without a registry may mean, as with dockerd's `registry-mirrors`; `undefined` when it never does. */
  fallback?: string | undefined
  /** For the message of a refusal. */
  mirrored: readonly string[]
}

export interface NameMeaning {
  /** `docker.io/library/alpine` for a mirrored one, as it was given for the cluster's own. */
  repository: Repository
  /** The upstream that it belongs to; absent for the cluster's own. */
  upstream?: string
  /** For a bare name: what it means when the cluster has no such repository. */
  otherwise?: Repository
}

/** Docker's own registry keeps images of one word under this name, and docker adds it. */
const dockerHub = 'docker.io'
const officialImages = 'library/'

/**
 * Without anything mirrored every name is the cluster's own, and `ns` means nothing. Throws `NAME_UNKNOWN` for an `ns` that is
 * neither mirrored nor this node's own host, and `NAME_INVALID` where the whole name gets too long.
 */
export function parseMirroredName(asked: Repository, context: NameContext): NameMeaning {
  const { ns, host, isMirrored, fallback, mirrored } = context
  const first = upstreamOf(asked)
  if (ns !== undefined && ns !== '' && ns.toLowerCase() !== host?.toLowerCase()) {
    const rest = first === ns ? withoutUpstream(asked) : asked
    if (isMirrored(ns, nameAt(ns, rest))) return mirroredName(ns, rest)
    if (mirrored.length > 0) {
      throw new OciError(
        'NAME_UNKNOWN',
        `ns="${excerpt(ns)}" is no registry that is mirrored here; mirrored are ${mirrored.join(', ')}`,
      )
    }
  }
  if (first !== undefined) {
    const rest = withoutUpstream(asked)
    if (isMirrored(first, nameAt(first, rest))) return mirroredName(first, rest)
  }
  if (fallback === undefined) return { repository: asked }
  return { repository: asked, otherwise: mirroredName(fallback, asked).repository }
}

/** The first word of a name that has several; `undefined` for a name of one word, which no upstream's is. */
export function upstreamOf(repository: Repository): string | undefined {
  const at = repository.indexOf('/')
  return at === -1 ? undefined : repository.slice(0, at)
}

/** The name by which the upstream itself knows it. */
export function withoutUpstream(repository: Repository): Repository {
  return parseRepository(repository.slice(repository.indexOf('/') + 1))
}

function mirroredName(upstream: string, repository: Repository): NameMeaning & { upstream: string } {
  return { repository: parseRepository(nameAt(upstream, repository)), upstream }
}

function nameAt(upstream: string, repository: Repository): string {
  const official = upstream === dockerHub && !repository.includes('/') ? officialImages : ''
  return `${upstream}/${official}${repository}`
}

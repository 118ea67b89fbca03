/** How an image is named on the command line: as docker names it, with the registry in front or without. */
import {
  type Digest,
  parseDigest,
  parseRepository,
  parseTag,
  type Reference,
  type Repository,
} from '../../src/oci/oci.ts'

export interface ImageName {
  repository: Repository
  /** Absent when neither a tag nor a digest was named. */
  reference?: Reference
}

/**
 * Reads `team/app`, `team/app:1`, `team/app@sha256:…` and `localhost:5000/team/app:1`. A tag before a digest is dropped, as
 * docker does. Throws OciError for what is none of these.
 */
export function parseImageName(text: string): ImageName {
  // A first part with a port can only be a registry: a repository's name holds no colon.
  const name = text.replace(/^(?:https?:\/\/)?(?:[^/:@]+|\[[0-9a-fA-F:.]+\]):\d+\//, '')
  const at = name.indexOf('@')
  const digest: Digest | undefined = at < 0 ? undefined : parseDigest(name.slice(at + 1))
  const named = at < 0 ? name : name.slice(0, at)
  const colon = named.indexOf(':')
  const repository = parseRepository(colon < 0 ? named : named.slice(0, colon))
  const tag = colon < 0 ? undefined : parseTag(named.slice(colon + 1))
  if (digest !== undefined) return { repository, reference: { digest } }
  return tag === undefined ? { repository } : { repository, reference: { tag } }
}

/** `repository:tag` or `repository@digest`. */
export function formatImageName(repository: Repository, reference: Reference): string {
  return 'tag' in reference ? `${repository}:${reference.tag}` : `${repository}@${reference.digest}`
}

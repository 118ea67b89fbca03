/** Repository names, tags and references (OCI distribution-spec, "Pulling manifests"). */
import { type Digest, excerpt, parseDigest } from './digest.ts'
import { OciError } from './errors.ts'

export type Repository = string & { readonly repository: unique symbol }
export type Tag = string & { readonly tag: unique symbol }
export type Reference = { tag: Tag } | { digest: Digest }

const repositoryPattern =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

/** Longer names do not fit a host, a port and a tag into the 255 characters that clients allow. */
const maxRepositoryLength = 255

/** Throws `NAME_INVALID`. */
export function parseRepository(text: string): Repository {
  if (text.length <= maxRepositoryLength && repositoryPattern.test(text)) return text as Repository
  throw new OciError(
    'NAME_INVALID',
    `"${excerpt(text)}" is not a repository name; expected up to ${maxRepositoryLength} characters of lowercase words of a-z and 0-9, joined by one of . _ __ - and separated by /`,
  )
}

/** Throws `TAG_INVALID`. */
export function parseTag(text: string): Tag {
  if (tagPattern.test(text)) return text as Tag
  throw new OciError(
    'TAG_INVALID',
    `"${excerpt(text)}" is not a tag; expected up to 128 characters of a-z, A-Z, 0-9, _ . and -, not beginning with . or -`,
  )
}

/** A tag never holds a colon and a digest always does. Throws `TAG_INVALID` or `DIGEST_INVALID`. */
export function parseReference(text: string): Reference {
  return text.includes(':') ? { digest: parseDigest(text) } : { tag: parseTag(text) }
}

/** What the API answers about repositories, tags and images. */
import type { Rows } from './answer.ts'

export interface RepositoryRow {
  name: string
  tags: number
  /** There are more than were counted. */
  isMore?: true
  newest?: { tag: string; writtenMs: number; author?: string }
}

export interface TagRow {
  tag: string
  digest: string
  mediaType: string
  writtenMs: number
  /** Peer id of the member that tagged it, for who may know the members; so are the other authors. */
  author?: string
  /** What the whole takes; absent where its manifests are not on this node. */
  bytes?: number
  platforms: string[]
}

export interface TagsAnswer extends Rows<TagRow> {
  /** Why none of them can be deleted from here, in words; absent when it may be tried. */
  undeletable?: string
}

export interface SearchAnswer {
  repositories: string[]
  tags: { repository: string; tag: string }[]
  /** There are more names than were searched. */
  isCut: boolean
}

export interface BlobFacts {
  digest: string
  bytes: number
  mediaType: string
  isHere: boolean
  /** Peer ids of other members that say they hold it, or their number for who may not know them; absent until they were asked. */
  holders?: string[] | number
  createdBy?: string
}

export interface PlatformFacts {
  digest: string
  bytes: number
  platform?: string
  /** Absent where no member that can be reached has the manifest. */
  content?: {
    artifactType?: string
    config: BlobFacts
    layers: BlobFacts[]
    image?: ConfigFacts
  }
}

export interface ConfigFacts {
  created?: string
  author?: string
  user?: string
  workingDir?: string
  entrypoint: string[]
  command: string[]
  environment: string[]
  ports: string[]
  volumes: string[]
  labels: Record<string, string>
}

/** What went of this node's copy of an image. */
export interface EvictedAnswer {
  blobs: number
  bytes: number
  /** Blobs that stayed, since other images here need them. */
  shared: number
  /** Peer ids of members that have all of it. */
  holders: string[]
}

/** What came of having an image brought here. */
export interface WarmedAnswer {
  parts: number
  bytes: number
  /** What could not be had, in words; of much, some. */
  missing: string[]
}

export interface TaggedAnswer {
  repository: string
  tag: string
  digest: string
  /** What the tag pointed to before, when that was something else, for who may read it. */
  before?: string
}

export interface ReferrerFacts {
  /** By which cosign names it, where it refers by a tag alone. */
  tag?: string
  digest: string
  mediaType: string
  bytes: number
  artifactType?: string
  annotations: Record<string, string>
  writtenMs: number
  author?: string
}

export interface ImageAnswer {
  repository: string
  digest: string
  mediaType: string
  kind: 'image' | 'index' | 'other'
  tag?: { name: string; author?: string; writtenMs: number }
  /** Other tags of the repository that point to it are among these. */
  tags: string[]
  annotations: Record<string, string>
  totalBytes: number
  platforms: PlatformFacts[]
  omittedPlatforms: number
  referrers: ReferrerFacts[]
  /** Whether this node has the manifest. */
  isHere: boolean
  holders?: string[] | number
  /** How many members are known to hold it, and how many are to; absent where they are enough. */
  short?: { held: number; wanted: number; sinceMs: number }
  /** Whether who asks may free this node's copy of it. */
  isEvictable: boolean
  /** Whether who asks may have all of it brought to this node. */
  isWarmable: boolean
  /** Why it can be given no other name from here, in words; absent when it may be tried. */
  untaggable?: string
  /** Why the tag cannot be deleted from here, in words; absent when it may be tried. */
  undeletable?: string
}

/** The tags of repositories in the order of their age: sorted when somebody looks, kept until one of them changes. */
import type { Repository } from '../../../src/oci/oci.ts'
import type { ChangedKey, Names } from '../../../src/records/records.ts'
import { isAttached } from './attached-tags.ts'

export interface ListedTag {
  tag: string
  digest: string
  mediaType: string
  size: number
  writtenMs: number
  author: string
}

export interface TagList {
  newest: readonly ListedTag[]
  byName: readonly ListedTag[]
  /** There are more tags than are listed. */
  isCut: boolean
}

/** Of one repository: what sorts in some 50 ms. Beyond, the first ones in order of name. */
const maxTags = 20_000
const maxKept = 8
/** Read before everybody else gets a turn. */
const tagsAtOnce = 500

export class TagLists {
  readonly #names: Pick<Names, 'listTags' | 'findTag' | 'findManifest'>
  /** The one that was looked at last comes last. */
  readonly #kept = new Map<Repository, Promise<TagList>>()

  constructor(names: Pick<Names, 'listTags' | 'findTag' | 'findManifest'>) {
    this.#names = names
  }

  /** To be called with every change of the ledger. */
  changed(keys: ChangedKey[]): void {
    // A signature without its image is a tag like others.
    for (const key of keys)
      if (key.kind === 'tag' || key.kind === 'manifest') this.#kept.delete(key.repository)
  }

  async of(repository: Repository): Promise<TagList> {
    const list = this.#kept.get(repository) ?? this.#read(repository)
    this.#kept.delete(repository)
    this.#kept.set(repository, list)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > maxKept && oldest !== undefined) this.#kept.delete(oldest)
    try {
      return await list
    } catch (error) {
      this.#kept.delete(repository)
      throw error
    }
  }

  async #read(repository: Repository): Promise<TagList> {
    const byName: ListedTag[] = []
    for (let after: string | undefined; byName.length < maxTags; ) {
      const names = await this.#names.listTags(repository, {
        limit: tagsAtOnce,
        ...(after === undefined ? {} : { after }),
      })
      for (const tag of names) {
        const entry = await this.#names.findTag(repository, tag)
        // One that was deleted since the names were read is no tag.
        if (entry === undefined || (await isAttached(this.#names, repository, tag))) continue
        byName.push({ tag, ...entry })
      }
      after = names.at(-1)
      if (names.length < tagsAtOnce) break
      await new Promise((resolve) => setImmediate(resolve))
    }
    const newest = byName.toSorted((a, b) => b.writtenMs - a.writtenMs || (a.tag < b.tag ? -1 : 1))
    return { newest, byName, isCut: byName.length >= maxTags }
  }
}

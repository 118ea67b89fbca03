/**
 * Import from another registry, be it its storage or while it runs: image after image, so that one that is broken keeps none of the
 * others back, and what came before it broke off need not come again.
 */
import { ArchiveError, type OtherRegistry } from '../../src/archive/archive.ts'
import type { CodedError } from '../../src/base/base.ts'
import { type Digest, OciError, type Reference, type Repository } from '../../src/oci/oci.ts'
import { matchesGlob } from '../../src/records/records.ts'
import { UpstreamUnavailableError } from '../../src/upstream/upstream.ts'
import { OperationError } from '../admin/client.ts'
import type { ContentClient } from '../admin/content-client.ts'
import { formatImageName } from '../operations/image-name.ts'
import type { Settings } from '../settings/settings.ts'
import { planImport } from './archive-plan.ts'
import { blobsAtOnce, bringBlobs, type ImportedImage, publish, RecordBook } from './importer.ts'

export interface RegistryImportOptions {
  settings: Settings
  content: ContentClient
  source: OtherRegistry
  /** Which repositories, by patterns; all where there is none. */
  patterns: readonly string[]
  /** Tags that stand for something else here become what they are there. */
  replacesTags: boolean
  onImage(image: ImportedImage | FailedImage): void
  onProgress(progress: RegistryProgress): void
  signal: AbortSignal
}

export interface FailedImage {
  name: string
  failure: string
}

export interface RegistryProgress {
  /** What is being brought. */
  name: string
  repository: number
  repositories: number
  /** That came. */
  bytes: number
}

export interface RegistryReport {
  repositories: number
  imported: number
  failed: number
  bytes: number
}

/** Of one image: what refers to it, and to that. */
const maxReferrers = 1_000
/** With these nothing else would come either. */
const fatalCodes = new Set([
  'STORE_FULL',
  'NO_SPACE',
  'UNAVAILABLE',
  'DATABASE_FAULT',
  'NODE_FAILED',
  'CLOCK_WRONG',
])
const fatalTroubles = new Set<string>(['unreachable', 'paused', 'refused'])

export async function importRegistry(options: RegistryImportOptions): Promise<RegistryReport> {
  const { source, patterns, onImage } = options
  const repositories: Repository[] = []
  for await (const repository of source.repositories()) {
    if (patterns.length === 0 || patterns.some((pattern) => matchesGlob(pattern, repository)))
      repositories.push(repository)
  }
  const report: RegistryReport = { repositories: repositories.length, imported: 0, failed: 0, bytes: 0 }
  for (const [index, repository] of repositories.entries()) {
    const importer = new RepositoryImporter(repository, index + 1, report, options)
    const tell = (image: ImportedImage | FailedImage): void => {
      if ('failure' in image) report.failed++
      else report.imported++
      onImage(image)
    }
    try {
      for await (const reference of source.references(repository))
        for (const image of await importer.import(reference)) tell(image)
    } catch (error) {
      if (!isOfOneImage(error)) throw error
      tell({ name: repository, failure: error.message })
    }
  }
  return report
}

class RepositoryImporter {
  readonly #repository: Repository
  readonly #number: number
  readonly #report: RegistryReport
  readonly #options: RegistryImportOptions
  /** What refers to an image, once it was brought. */
  readonly #referrers = new Set<Digest>()

  constructor(
    repository: Repository,
    number: number,
    report: RegistryReport,
    options: RegistryImportOptions,
  ) {
    this.#repository = repository
    this.#number = number
    this.#report = report
    this.#options = options
  }

  /** With what refers to it. */
  async import(reference: Reference): Promise<(ImportedImage | FailedImage)[]> {
    const images: (ImportedImage | FailedImage)[] = []
    const waiting = [reference]
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      try {
        const { imported, manifests } = await this.#bring(next)
        images.push(...imported)
        for (const digest of await this.#referrersOf(manifests))
          if (images.length + waiting.length < maxReferrers) waiting.push({ digest })
      } catch (error) {
        if (!isOfOneImage(error)) throw error
        images.push({ name: formatImageName(this.#repository, next), failure: error.message })
      }
    }
    return images
  }

  async #bring(reference: Reference): Promise<{ imported: ImportedImage[]; manifests: Digest[] }> {
    const { settings, content, source, replacesTags, signal } = this.#options
    const repository = this.#repository
    signal.throwIfAborted()
    const name = formatImageName(repository, reference)
    this.#tell(name)
    const root = await source.describe(repository, reference)
    const from = source.content(repository)
    const names = 'tag' in reference ? [{ tag: reference.tag }] : []
    const plans = await planImport(
      { ...from, images: [{ root, names }] },
      { as: repository, repositoriesOf: () => [] },
    )
    const onBytes = (bytes: number): void => {
      this.#report.bytes += bytes
      this.#tell(name)
    }
    const stoppable = { ...from, chunks: (path: string) => from.chunks(path, { signal }) }
    await bringBlobs(
      { settings, content, atOnce: blobsAtOnce, onBlob: () => undefined, onBytes },
      stoppable,
      plans,
    )
    const imported: ImportedImage[] = []
    for (const plan of plans)
      imported.push(
        ...(await publish({ settings, records: new RecordBook(), keepsTags: !replacesTags }, from, plan)),
      )
    return { imported, manifests: plans.flatMap((plan) => plan.manifests.map(({ digest }) => digest)) }
  }

  /** Those that were not brought before. */
  async #referrersOf(manifests: Digest[]): Promise<Digest[]> {
    const found: Digest[] = []
    for (const subject of manifests) {
      for (const digest of await this.#options.source.referrers(this.#repository, subject)) {
        if (this.#referrers.has(digest)) continue
        this.#referrers.add(digest)
        found.push(digest)
      }
    }
    return found
  }

  #tell(name: string): void {
    const { repositories, bytes } = this.#report
    this.#options.onProgress({ name, repository: this.#number, repositories, bytes })
  }
}

/** Whether the others can be had all the same. */
function isOfOneImage(error: unknown): error is CodedError {
  if (error instanceof UpstreamUnavailableError) return !fatalTroubles.has(error.trouble)
  if (error instanceof OperationError) return !fatalCodes.has(error.code)
  return error instanceof ArchiveError || error instanceof OciError
}

/**
 * Makes anew what follows from something else, after parts of the database were cut out of it: links and references from the
 * manifests that the ledger names, the ledger's rows from its records. Nothing is collected until that is done, since what
 * lost its link looks like garbage.
 */
import { Background, type Logger } from '../src/base/base.ts'
import type { Repository } from '../src/oci/oci.ts'
import type { Ledger } from '../src/records/records.ts'
import { keepManifest } from '../src/registry/registry.ts'
import type { Database, Store } from '../src/store/store.ts'

export interface Mender extends AsyncDisposable {
  /** Resolves when nothing is left to be made anew. */
  finish(): Promise<void>
  readonly isDone: boolean
}

interface MenderOptions {
  database: Database
  store: Pick<Store, 'manifests' | 'links'>
  names: Pick<Ledger, 'listRepositories' | 'listManifests' | 'audit'>
  logger: Logger
}

const pageLength = 100
/** Members hear of it from what resumes announcing. */
const nobody = { announce: () => undefined, prefetch: () => undefined }

export async function openMender({ database, store, names, logger }: MenderOptions): Promise<Mender> {
  const { damage } = database
  const background = new Background('the mender', logger)
  const { signal } = background
  let isNeeded = damage.isOpen
  let working: Promise<void> | undefined

  async function mend(): Promise<void> {
    isNeeded = false
    const { cuts } = damage
    try {
      await names.audit({ signal })
      let manifests = 0
      for await (const repository of repositories()) manifests += await relink(repository)
      if (isNeeded) return await mend()
      // What was made anew stands in the log, which a power cut takes with it.
      await database.sync()
      damage.close(cuts)
      logger.info({ manifests }, 'links and references were made anew')
    } catch (error) {
      isNeeded = true
      throw error
    }
  }

  async function* repositories(): AsyncGenerator<Repository> {
    for (let after = ''; ; ) {
      const page = await names.listRepositories({ after, limit: pageLength })
      yield* page
      if (page.length < pageLength) return
      after = page.at(-1) ?? ''
    }
  }

  async function relink(repository: Repository): Promise<number> {
    let kept = 0
    for (let after = ''; ; ) {
      const page = await names.listManifests(repository, { after, limit: pageLength })
      for (const entry of page) {
        signal.throwIfAborted()
        const bytes = await store.manifests.get(entry.digest)
        if (bytes === undefined) continue
        await keepManifest({ store, elsewhere: nobody }, repository, { ...entry, bytes })
        kept++
      }
      if (page.length < pageLength) return kept
      after = page.at(-1)?.digest ?? ''
    }
  }

  async function finish(): Promise<void> {
    if (isNeeded) {
      working ??= mend().finally(() => {
        working = undefined
      })
    }
    await working
  }

  const onDamage = (): void => {
    isNeeded = true
    background.start('make anew what was cut out of the database', finish)
  }
  damage.listeners.add(onDamage)
  if (isNeeded) onDamage()
  return {
    finish,
    get isDone() {
      return !isNeeded && working === undefined
    },
    async [Symbol.asyncDispose]() {
      damage.listeners.delete(onDamage)
      await background[Symbol.asyncDispose]()
    },
  }
}

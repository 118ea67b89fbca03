/** A registry, a client of it and a folder, for the tests of a block. */
import { afterAll, beforeAll } from 'vitest'
import { type Client, openClient } from './client.ts'
import { showOutputOnFailure } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

export interface RegistryInUse {
  readonly registry: Registry
  readonly client: Client
  readonly folder: ScratchFolder
}

/** Opened before the hooks that the block adds after the call, and closed after those. */
export function useRegistry(): RegistryInUse {
  const opened = new AsyncDisposableStack()
  let registry: Registry
  let client: Client
  let folder: ScratchFolder
  beforeAll(async () => {
    folder = opened.use(await openScratchFolder())
    registry = opened.use(await openRegistry())
    client = opened.use(openClient(registry.port))
  })
  afterAll(() => opened.disposeAsync())
  showOutputOnFailure(() => [registry])
  return {
    get registry() {
      return registry
    },
    get client() {
      return client
    },
    get folder() {
      return folder
    },
  }
}

/** The libp2p datastore (peer store, DHT records) inside a sublevel of the node's database. */
import { LevelDatastore } from 'datastore-level'

/** What is used of an abstract-level database or sublevel with `keyEncoding: 'utf8'`, `valueEncoding: 'view'`. */
export interface SwarmDatabase {
  get(key: string): Promise<Uint8Array | undefined>
  put(key: string, value: Uint8Array): Promise<void>
  del(key: string): Promise<void>
  batch(operations: DatabaseOperation[]): Promise<void>
  iterator(options: object): AsyncIterable<[unknown, unknown]> & { close(): Promise<void> }
}

export type DatabaseOperation = { type: 'put'; key: string; value: Uint8Array } | { type: 'del'; key: string }

/** Whoever opened the database closes it. */
export function datastoreIn(database: SwarmDatabase): LevelDatastore {
  // LevelDatastore asks for a whole Level, but uses no more of it than this, apart from opening and closing.
  return new LevelDatastore(database as ConstructorParameters<typeof LevelDatastore>[0] & SwarmDatabase)
}

export interface BufferedDatabase extends SwarmDatabase {
  /** Writes what has changed since. */
  flush(): Promise<void>
}

/** Beyond this, entries that are written are dropped from memory, the longest unused first. */
const maxEntries = 4096

/**
 * Keeps the entries under `prefix` in memory and writes them at `flush`. libp2p reads and writes a peer's entry for every
 * stream, which was more than half of what an idle node cost.
 */
export function bufferDatabase(database: SwarmDatabase, prefix: string): BufferedDatabase {
  const entries = new Map<string, Uint8Array | undefined>()
  const dirty = new Set<string>()

  const trim = (): void => {
    for (const old of entries.keys()) {
      if (entries.size <= maxEntries) return
      if (!dirty.has(old)) entries.delete(old)
    }
  }

  const keep = (key: string, value: Uint8Array | undefined): void => {
    entries.delete(key)
    entries.set(key, value)
    if (entries.size > maxEntries + dirty.size) trim()
  }

  const change = (key: string, value: Uint8Array | undefined): void => {
    dirty.add(key)
    keep(key, value)
  }

  const flush = async (): Promise<void> => {
    const operations = [...dirty].map((key): DatabaseOperation => {
      const value = entries.get(key)
      return value === undefined ? { type: 'del', key } : { type: 'put', key, value }
    })
    dirty.clear()
    if (operations.length > 0) await database.batch(operations)
  }

  return {
    flush,
    async get(key) {
      if (!key.startsWith(prefix)) return await database.get(key)
      if (entries.has(key)) return entries.get(key)
      const value = await database.get(key)
      // A change that came while the value was being read stands.
      if (entries.has(key)) return entries.get(key)
      keep(key, value)
      return value
    },
    async put(key, value) {
      if (key.startsWith(prefix)) change(key, value)
      else await database.put(key, value)
    },
    async del(key) {
      if (key.startsWith(prefix)) change(key, undefined)
      else await database.del(key)
    },
    async batch(operations) {
      const through: DatabaseOperation[] = []
      for (const operation of operations) {
        if (!operation.key.startsWith(prefix)) through.push(operation)
        else change(operation.key, operation.type === 'put' ? operation.value : undefined)
      }
      if (through.length > 0) await database.batch(through)
    },
    iterator(options) {
      let inner: ReturnType<SwarmDatabase['iterator']> | undefined
      return {
        async *[Symbol.asyncIterator]() {
          await flush()
          inner = database.iterator(options)
          yield* inner
        },
        close: async () => await inner?.close(),
      }
    },
  }
}

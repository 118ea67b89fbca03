/** The libp2p datastore (peer store, DHT records) inside a sublevel of the node's database. */
import { LevelDatastore } from 'datastore-level'

/** What is used of an abstract-level database or sublevel with `keyEncoding: 'utf8'`, `valueEncoding: 'view'`. */
export interface SwarmDatabase {
  get(key: string): Promise<Uint8Array | undefined>
  put(key: string, value: Uint8Array): Promise<void>
  del(key: string): Promise<void>
  batch(
    operations: ({ type: 'put'; key: string; value: Uint8Array } | { type: 'del'; key: string })[],
  ): Promise<void>
  iterator(options: object): AsyncIterable<[unknown, unknown]> & { close(): Promise<void> }
}

/** Whoever opened the database closes it. */
export function datastoreIn(database: SwarmDatabase): LevelDatastore {
  // LevelDatastore asks for a whole Level, but uses no more of it than a sublevel has, apart from opening and closing.
  return new LevelDatastore(database as ConstructorParameters<typeof LevelDatastore>[0] & SwarmDatabase)
}

/** Nodes with an exchange each, over a mesh, with memory stores. */
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../../src/base/base.ts'
import type { Exchange, ExchangeLimits, ExchangeOptions } from '../../../src/exchange/contract.ts'
import { openExchange } from '../../../src/exchange/exchange.ts'
import type { Misconduct } from '../../../src/exchange/peer/faults.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import type { Wanted } from '../../../src/exchange/protocol/wanted.ts'
import {
  type Digest,
  parseDigest,
  parseRepository,
  type RangesOf,
  type Repository,
} from '../../../src/oci/oci.ts'
import { memoryStore, type OpenBlob, type Store } from '../../../src/store/store.ts'
import { type Identity, identityFromSeed } from '../../../src/wire/wire.ts'
import { MemoryPartials } from './memory-partials.ts'
import { Mesh } from './mesh.ts'
import { PatientClock } from './patient-clock.ts'

export const repository: Repository = parseRepository('team/app')
export const kibibyte = 1024
export const pieceBytes = 64 * kibibyte

export interface TestNode {
  peer: string
  identity: Identity
  exchange: Exchange
  store: Store
  partials: MemoryPartials
  /** Kept piece lists. */
  lists: Map<Digest, Uint8Array>
  announced: Set<Digest>
  withdrawn: Set<Digest>
  blamed: { peer: string; misconduct: Misconduct }[]
  rotten: Digest[]
  /** Repositories that may read everything that is stored. */
  readers: Set<Repository>
  holds(bytes: Uint8Array): Promise<Digest>
  has(digest: Digest): Promise<boolean>
}

export interface World extends AsyncDisposable {
  mesh: Mesh
  /** Of all nodes. */
  clock: Clock
  node(options?: { limits?: Partial<ExchangeLimits>; override?: Partial<ExchangeOptions> }): Promise<TestNode>
  /** An identity that is nobody yet. */
  identity(): Identity
}

export function openWorld(): World {
  const mesh = new Mesh()
  const stack = new AsyncDisposableStack()
  const clock = stack.use(new PatientClock())
  let seed = 1
  const identity = (): Identity => identityFromSeed(Buffer.alloc(32, seed++))
  return {
    mesh,
    clock,
    identity,
    async node({ limits = {}, override = {} } = {}) {
      const node = await openNode(mesh, identity(), limits, { clock, ...override })
      stack.defer(async () => await node.exchange[Symbol.asyncDispose]())
      mesh.join(node.peer)
      return node
    },
    async [Symbol.asyncDispose]() {
      await stack.disposeAsync()
      await mesh.close()
    },
  }
}

async function openNode(
  mesh: Mesh,
  identity: Identity,
  limits: Partial<ExchangeLimits>,
  override: Partial<ExchangeOptions>,
): Promise<TestNode> {
  const store = memoryStore()
  const partials = new MemoryPartials(store.blobs)
  const [lists, announced, withdrawn] = [new Map<Digest, Uint8Array>(), new Set<Digest>(), new Set<Digest>()]
  const readers = new Set([repository])
  const blamed: TestNode['blamed'] = []
  const rotten: Digest[] = []
  const exchange = await openExchange({
    identity,
    host: mesh.host(identity.peerId),
    blobs: store.blobs,
    partials,
    pieceLists: {
      get: async (digest) => lists.get(digest),
      put: async (digest, list) => {
        lists.set(digest, list)
      },
      delete: async (digest) => {
        lists.delete(digest)
      },
    },
    hashPieces: async (digest, { from, to }) => (await hashPieces(store, digest)).slice(32 * from, 32 * to),
    providers: {
      find: async function* () {
        yield* []
      },
      announce: (digest) => announced.add(digest),
      withdraw: (digest) => withdrawn.add(digest),
    },
    members: mesh.members(identity.peerId),
    mayRead: async (wanted) => readers.has(wanted),
    blame: (peer, misconduct) => blamed.push({ peer, misconduct }),
    onRotten: (digest) => rotten.push(digest),
    limits: { graceMs: 50, giveUpMs: 3000, ...limits },
    ...override,
  })
  return {
    peer: identity.peerId,
    identity,
    exchange,
    store,
    partials,
    lists,
    announced,
    withdrawn,
    blamed,
    rotten,
    readers,
    async holds(bytes) {
      const digest = digestOf(bytes)
      await store.blobs.write(digest, once(bytes))
      exchange.changed(digest)
      return digest
    },
    has: async (digest) => (await store.blobs.stat(digest)) !== undefined,
  }
}

async function hashPieces(store: Store, digest: Digest): Promise<Uint8Array> {
  await using blob = await store.blobs.open(digest)
  if (blob === undefined) throw new Error(`${digest} is not here`)
  return pieceHashes(await read(blob))
}

/** As a piece list has them. */
export function pieceHashes(bytes: Uint8Array): Uint8Array {
  const layout = layoutOf(bytes.length)
  const hashes: Buffer[] = []
  for (let at = 0; at < bytes.length; at += layout.pieceBytes) {
    hashes.push(
      createHash('sha256')
        .update(bytes.subarray(at, at + layout.pieceBytes))
        .digest(),
    )
  }
  return new Uint8Array(Buffer.concat(hashes))
}

export function digestOf(bytes: Uint8Array): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
}

export function wanted(digest: Digest): Wanted {
  return { repository, digest }
}

/** Bytes that are unlike any others. */
export function someBytes(size: number): Uint8Array {
  return new Uint8Array(randomBytes(size))
}

/** What the node gives of a blob; throws when nobody has it. */
export async function opened(
  { exchange }: Pick<TestNode, 'exchange'>,
  digest: Digest,
  options: { ranges?: RangesOf } = {},
): Promise<OpenBlob> {
  const blob = await exchange.open(wanted(digest), options)
  if (blob === undefined) throw new Error(`${digest} is not to be had`)
  return blob
}

export async function read(
  blob: OpenBlob,
  [start, end]: [number, number] = [0, blob.size],
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of blob.chunks(start, end)) chunks.push(chunk.slice())
  return new Uint8Array(Buffer.concat(chunks))
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}

/** Resolves when the condition holds; throws after `timeoutMs`, saying what was waited for. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for: ${what}`)
    await delay(5)
  }
}

/** Ledgers in temporary folders, with identities and time of the test's own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import type { Clock } from '../../src/base/base.ts'
import { type Digest, digestBytes, parseRepository, parseTag } from '../../src/oci/oci.ts'
import type { Fingerprints } from '../../src/records/fingerprints.ts'
import { signRecord } from '../../src/records/record.ts'
import { type Change, type Ledger, type LedgerOptions, openLedger } from '../../src/records/records.ts'
import { type Identity, identityFromSeed } from '../../src/wire/wire.ts'

/** Stands still until told; sleeps never end by themselves. */
export class ManualClock implements Clock {
  ms: number

  constructor(ms = 1_800_000_000_000) {
    this.ms = ms
  }

  now(): number {
    return this.ms
  }

  sleep(_ms: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return new Promise((_, reject) => {
      if (signal?.aborted) reject(signal.reason)
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
  }
}

export function identity(number: number): Identity {
  const seed = new Uint8Array(32)
  new DataView(seed.buffer).setUint32(0, number)
  return identityFromSeed(seed)
}

export const authority = identity(0)
export const alice = identity(1)
export const bob = identity(2)

export interface TestLedger extends AsyncDisposable {
  ledger: Ledger
  path: string
  /** Closes and opens again, with other options where given. */
  reopen(changes?: Partial<LedgerOptions>): Promise<void>
  /** Closes, lets a disk do what it likes to `path/db`, and opens again. */
  whileClosed(work: (directory: string) => Promise<void>): Promise<void>
}

export async function testLedger(options: Partial<LedgerOptions> = {}): Promise<TestLedger> {
  const path = await mkdtemp(join(tmpdir(), 'shoal-ledger-'))
  let given = options
  const open = async (): Promise<{ db: Level; ledger: Ledger }> => {
    const db = new Level(join(path, 'db'))
    await db.open()
    const common = { db, identity: alice, authority: authority.publicKey, clock: new ManualClock() }
    return { db, ledger: await openLedger({ ...common, ...given }) }
  }
  let current = await open()
  const close = async (): Promise<void> => {
    await current.ledger[Symbol.asyncDispose]()
    await current.db.close()
  }
  return {
    get ledger() {
      return current.ledger
    },
    path,
    async reopen(changes = {}) {
      await close()
      given = { ...given, ...changes }
      current = await open()
    },
    async whileClosed(work) {
      await close()
      await work(path)
      current = await open()
    },
    async [Symbol.asyncDispose]() {
      await close()
      await rm(path, { recursive: true, force: true })
    },
  }
}

export const mediaType = 'application/vnd.oci.image.manifest.v1+json'

export function digestOf(text: string): Digest {
  return digestBytes(Buffer.from(text))
}

export function tagChange(repository: string, tag: string, content: string | undefined): Change {
  const value =
    content === undefined ? undefined : { digest: digestOf(content), mediaType, size: content.length }
  return { kind: 'tag', repository: parseRepository(repository), tag: parseTag(tag), value }
}

export function manifestChange(
  repository: string,
  content: string,
  value: { subject?: Digest; artifactType?: string; annotations?: Record<string, string> } | undefined = {},
): Change {
  const digest = digestOf(content)
  return {
    kind: 'manifest',
    repository: parseRepository(repository),
    digest,
    value: { mediaType, size: 7, ...value },
  }
}

export function manifestDeletion(repository: string, content: string): Change {
  return {
    kind: 'manifest',
    repository: parseRepository(repository),
    digest: digestOf(content),
    value: undefined,
  }
}

/** The records that `ledger` signs while `work` runs. */
export async function recordsOf(ledger: Ledger, work: () => Promise<unknown>): Promise<Uint8Array[]> {
  const signed: Uint8Array[] = []
  const stop = ledger.onRecords((records, { own }) => {
    if (own) signed.push(...records)
  })
  await work()
  stop()
  return signed
}

export async function fingerprintsOf(ledger: Ledger): Promise<Fingerprints> {
  return (await ledger.positions()).fingerprints
}

/** Tags `many/tags:t0` and on, a millisecond apart and before any test's now. */
export function signedTags(author: Identity, count: number): Uint8Array[] {
  const value = { digest: digestOf('many'), mediaType, size: 4 }
  return Array.from({ length: count }, (_, n) => {
    const body = { kind: 'tag', key: `many/tags:t${n}`, time: [1_700_000_000_000 + n, 0], value } as const
    return signRecord({ ...body, time: [...body.time] }, author).envelope.bytes
  })
}

/**
 * The cluster's authority key in DIR/authority, which signs policy and can be moved off the machine. Which key governs is the
 * ledger's to say: `governs` asks it. While the authority is handed over the new key lies beside, so that it is never lost and
 * counts once the ledger says so, whenever the node is stopped.
 */
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { type Identity, identityFromSeed } from '../../wire/wire.ts'
import { AuthorityAbsentError, ClusterConflictError, TokenError } from '../errors.ts'
import { findCluster } from './cluster.ts'
import { createSeed, type Seed, seedFromPem, seedToPem } from './key-file.ts'
import { readSecretFile, removeSecretFile, writeSecretFile } from './secret-file.ts'
import { openText, sealText } from './token.ts'

/** Whether that public key is the authority's. */
export type Governs = (publicKey: Uint8Array) => boolean

const prefix = 'shoal-authority1:'
/** A key that is about to be handed over to, and one that waits for others' signatures. */
const coming = ['authority.next', 'authority.proposed'] as const
export type ComingAuthority = (typeof coming)[number]

/** `undefined` on a node that has none. It may be one that governs no more. */
export async function findAuthority(directory: string): Promise<Identity | undefined> {
  const seed = await findSeed(join(directory, 'authority'))
  return seed === undefined ? undefined : identityFromSeed(seed)
}

/** As `findAuthority`, after a key that came to govern took its place. */
export async function settleAuthority(directory: string, governs: Governs): Promise<Identity | undefined> {
  for (const name of coming) {
    const path = join(directory, name)
    const key = await findComing(directory, name)
    if (key === undefined) continue
    if (governs(key.publicKey)) await rename(path, join(directory, 'authority'))
    // It was never handed over to: the node stopped before.
    else if (name === 'authority.next') await removeSecretFile(path)
  }
  return await findAuthority(directory)
}

/** Makes a new key, in place of one that was made so before. Durable when it resolves. */
export async function prepareAuthority(directory: string, name: ComingAuthority): Promise<Identity> {
  const seed = createSeed()
  await writeSecretFile(join(directory, name), seedToPem(seed))
  return identityFromSeed(seed)
}

export async function findComing(directory: string, name: ComingAuthority): Promise<Identity | undefined> {
  const seed = await findSeed(join(directory, name))
  return seed === undefined ? undefined : identityFromSeed(seed)
}

/** The key as one printable line, to be kept like a password. Throws AuthorityAbsentError. */
export async function exportAuthority(directory: string): Promise<string> {
  const path = join(directory, 'authority')
  const seed = await findSeed(path)
  if (seed !== undefined) return sealText(prefix, seed)
  throw new AuthorityAbsentError(
    `${path} does not exist: this node does not hold the cluster's authority key`,
  )
}

/** Puts an exported key on this node. Throws TokenError when it is damaged, ClusterConflictError when it does not govern. */
export async function importAuthority(directory: string, text: string, governs: Governs): Promise<Identity> {
  const seed = openText(prefix, text, 'exported authority key')
  if (seed.length !== 32) throw new TokenError('the exported authority key has the wrong length')
  if ((await findCluster(directory)) === undefined)
    throw new ClusterConflictError(`${directory} belongs to no cluster; join it first`)
  const key = identityFromSeed(seed)
  if (!governs(key.publicKey)) {
    throw new ClusterConflictError(
      `${key.peerId} is not the authority as this node knows it: the key is that of another cluster, or was handed over, or this node has not heard yet that it was handed over to (shoal authority show)`,
    )
  }
  await writeSecretFile(join(directory, 'authority'), seedToPem(seed))
  return key
}

/** Removes the key from this node, once it is kept elsewhere. Returns false when it was not here. */
export async function dropAuthority(directory: string): Promise<boolean> {
  return await removeSecretFile(join(directory, 'authority'))
}

async function findSeed(path: string): Promise<Seed | undefined> {
  const pem = await readSecretFile(path)
  return pem === undefined ? undefined : seedFromPem(pem, path)
}

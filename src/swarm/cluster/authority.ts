/** The cluster's authority key in DIR/authority, which signs policy and can be moved off the machine. */
import { join } from 'node:path'
import { type Identity, identityFromSeed } from '../../wire/wire.ts'
import { AuthorityAbsentError, ClusterConflictError, SwarmFileError, TokenError } from '../errors.ts'
import { findCluster } from './cluster.ts'
import { type Seed, seedFromPem, seedToPem } from './key-file.ts'
import { readSecretFile, removeSecretFile, writeSecretFile } from './secret-file.ts'
import { openText, sealText } from './token.ts'

const prefix = 'shoal-authority1:'

/** `undefined` on a node that does not hold it; throws SwarmFileError when it is another cluster's. */
export async function findAuthority(directory: string): Promise<Identity | undefined> {
  const seed = await findSeed(directory)
  return seed === undefined ? undefined : identityFromSeed(seed)
}

/** The key as one printable line, to be kept like a password. Throws AuthorityAbsentError. */
export async function exportAuthority(directory: string): Promise<string> {
  const seed = await findSeed(directory)
  if (seed !== undefined) return sealText(prefix, seed)
  const path = join(directory, 'authority')
  throw new AuthorityAbsentError(
    `${path} does not exist: this node does not hold the cluster's authority key`,
  )
}

/** Puts an exported key on this node. Throws TokenError when it is damaged, ClusterConflictError when it is another cluster's. */
export async function importAuthority(directory: string, text: string): Promise<void> {
  const seed = openText(prefix, text, 'exported authority key')
  if (seed.length !== 32) throw new TokenError('the exported authority key has the wrong length')
  const cluster = await findCluster(directory)
  if (cluster === undefined)
    throw new ClusterConflictError(`${directory} belongs to no cluster; join it first`)
  if (!isAuthorityOf(cluster.authority, seed)) {
    throw new ClusterConflictError('the authority key is that of another cluster')
  }
  await writeSecretFile(join(directory, 'authority'), seedToPem(seed))
}

/** Removes the key from this node, once it is kept elsewhere. Returns false when it was not here. */
export async function dropAuthority(directory: string): Promise<boolean> {
  return await removeSecretFile(join(directory, 'authority'))
}

async function findSeed(directory: string): Promise<Seed | undefined> {
  const path = join(directory, 'authority')
  const pem = await readSecretFile(path)
  if (pem === undefined) return undefined
  const seed = seedFromPem(pem, path)
  const cluster = await findCluster(directory)
  if (cluster !== undefined && !isAuthorityOf(cluster.authority, seed)) {
    throw new SwarmFileError(path, 'holds the authority key of another cluster; move it away')
  }
  return seed
}

function isAuthorityOf(publicKey: Uint8Array, seed: Seed): boolean {
  return Buffer.compare(publicKey, identityFromSeed(seed).publicKey) === 0
}

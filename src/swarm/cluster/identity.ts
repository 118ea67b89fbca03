/** Who a node is: an Ed25519 key that is its libp2p peer id and signs its records. */
import { join } from 'node:path'
import { type Identity, identityFromSeed } from '../../wire/wire.ts'
import { createSeed, type Seed, seedFromPem, seedToPem } from './key-file.ts'
import { readSecretFile, writeSecretFile } from './secret-file.ts'

export interface NodeIdentity extends Identity {
  /** The private key; only the host needs it. */
  readonly seed: Seed
}

/** Reads DIR/identity, or makes it on a node's first start. */
export async function openIdentity(directory: string): Promise<NodeIdentity> {
  const path = join(directory, 'identity')
  const pem = await readSecretFile(path)
  if (pem !== undefined) return nodeIdentity(seedFromPem(pem, path))
  const seed = createSeed()
  await writeSecretFile(path, seedToPem(seed))
  return nodeIdentity(seed)
}

function nodeIdentity(seed: Seed): NodeIdentity {
  return { ...identityFromSeed(seed), seed }
}

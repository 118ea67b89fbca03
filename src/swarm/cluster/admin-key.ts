/** An administrator's own key: a file of mode 0600 that no node needs to hold, named by its peer id in the policy. */
import { open } from 'node:fs/promises'
import { type Identity, identityFromSeed } from '../../wire/wire.ts'
import { SwarmFileError } from '../errors.ts'
import { createSeed, seedFromPem, seedToPem } from './key-file.ts'
import { readSecretFile } from './secret-file.ts'

/** Throws SwarmFileError where there is a file of that name: a key that is overwritten is lost. */
export async function createAdminKey(path: string): Promise<Identity> {
  const seed = createSeed()
  try {
    await using file = await open(path, 'wx', 0o600)
    await file.writeFile(seedToPem(seed))
    await file.sync()
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')
      throw new SwarmFileError(path, 'is there already; give the new key another name', { cause })
    throw cause
  }
  return identityFromSeed(seed)
}

/** Throws SwarmFileError where there is none, or where others may read it. */
export async function readAdminKey(path: string): Promise<Identity> {
  const pem = await readSecretFile(path)
  if (pem === undefined)
    throw new SwarmFileError(path, 'does not exist; shoal authority admin-key makes such a file')
  return identityFromSeed(seedFromPem(pem, path))
}

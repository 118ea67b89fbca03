/** The flag by which a command signs with an administrator's own key instead of the node's. */
import { readAdminKey } from '../../src/swarm/cluster/admin-key.ts'
import type { Identity } from '../../src/wire/wire.ts'
import { path } from '../settings/kinds.ts'
import type { Flag } from './command.ts'

const variable = 'SHOAL_ADMIN_KEY'

export const key = {
  kind: path,
  value: 'FILE',
  help: `sign with this administrator's key (default: the file that $${variable} names, or the node's key)`,
} satisfies Flag<string>

/** It is read in the command's process and never handed to the node. Throws SwarmFileError. */
export async function findAdminKey(
  given: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Identity | undefined> {
  const file = given ?? environment[variable]
  return file === undefined || file === '' ? undefined : await readAdminKey(file)
}

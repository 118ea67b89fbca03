/** Whose a data directory is, for commands that root gives while its node does not run. */
import { stat } from 'node:fs/promises'

/** Goes on as the directory's owner where root called: files that root left there could not be opened by the node. */
export async function becomeOwner(directory: string): Promise<void> {
  const { geteuid, setgroups, setgid, setuid } = process
  if (geteuid?.() !== 0 || !setgroups || !setgid || !setuid) return
  const owner = await findOwner(directory)
  if (owner === undefined || owner.uid === 0) return
  setgroups([])
  setgid(owner.gid)
  setuid(owner.uid)
}

async function findOwner(directory: string): Promise<{ uid: number; gid: number } | undefined> {
  try {
    return await stat(directory)
  } catch (error) {
    // Whoever opens it says what is wrong.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

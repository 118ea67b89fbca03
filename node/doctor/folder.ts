/** Whether the data directory is one that the node can work in: there, writable, and all of one owner. */
import { constants } from 'node:fs'
import { access, lstat, readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { checkDataFormat, DataFormatError } from '../data-format.ts'
import { userName } from '../owner.ts'
import { type Check, type Finding, fault, fine, isRefusal, note } from './check.ts'

export interface FolderFacts {
  path: string
  /** Absent when there is none yet. */
  folder?: {
    isFolder: boolean
    owner: string
    mode: number
    /** By the user who asks. */
    isWritable: boolean
    /** Files in it that belong to somebody else, with whom. */
    foreign: { path: string; owner: string }[]
    /** Why this version does not open what is in it. */
    refusal?: string
  }
  /** Whether the folder could be made: the nearest one above that exists. */
  above: { path: string; isWritable: boolean }
  user: string
  /** Whether another user's node runs in it. */
  isAnothersNode?: boolean
}

export function judgeFolder({ path, folder, above, user, isAnothersNode }: FolderFacts): Finding[] {
  if (folder === undefined) {
    return above.isWritable
      ? [
          note(
            `there is no ${path} yet`,
            `shoal serve --data ${path} makes it; or name the right one with --data`,
          ),
        ]
      : [
          fault(
            `${path} is not there, and ${user} may not make it in ${above.path}`,
            `as root: install -d -m 700 -o ${user} ${path}`,
          ),
        ]
  }
  if (!folder.isFolder) return [fault(`${path} is a file, not a folder`, 'choose another with --data DIR')]
  if (!folder.isWritable && isAnothersNode === true)
    return [note(`${path} belongs to ${folder.owner}, and ${user} cannot look into it`, asNode(folder.owner))]
  const findings: Finding[] = []
  if (!folder.isWritable) {
    findings.push(
      fault(
        `${path} belongs to ${folder.owner}, and ${user} may not write it`,
        `run the node as ${folder.owner}, or give the folder to ${user}: chown -R ${user} ${path}`,
      ),
    )
  }
  const [first] = folder.foreign
  if (first !== undefined) {
    const others = folder.foreign.length === 1 ? '' : ` and ${folder.foreign.length - 1} more`
    findings.push(
      fault(
        `${first.path}${others} in it belongs to ${first.owner}, not to ${folder.owner}`,
        `a node was started as the wrong user; stop it, then: chown -R ${folder.owner} ${path}`,
      ),
    )
  }
  if ((folder.mode & 0o022) !== 0) {
    findings.push(
      fault(`${path} may be written by other users (mode ${octal(folder.mode)})`, `chmod 700 ${path}`),
    )
  }
  if (folder.refusal !== undefined) {
    const [what = folder.refusal, ...remedy] = folder.refusal.split('; ')
    findings.push(fault(what, remedy.join('; ')))
  }
  return findings.length === 0 ? [fine(`${path} belongs to ${folder.owner} and can be written`)] : findings
}

function asNode(owner: string): string {
  return `run shoal doctor as ${owner} to see the rest`
}

/** As many as are looked at: whoever started the node as the wrong user made files at the top and in the database. */
const maxLookedAt = 2_000

export const folder: Check = {
  name: 'data',
  async examine({ settings, isAnothersNode = false }) {
    return judgeFolder({ ...(await look(settings.data)), isAnothersNode })
  },
}

async function look(path: string): Promise<FolderFacts> {
  const above = await nearestAbove(dirname(path))
  const facts = {
    path,
    above: { path: above, isWritable: await isWritable(above) },
    user: userName(process.getuid?.() ?? 0),
  }
  try {
    const { uid, mode } = await stat(path)
    const isFolder = (await stat(path)).isDirectory()
    const foreign = isFolder ? await findForeign(path, uid) : []
    const refusal = isFolder ? await findRefusal(path) : undefined
    return {
      ...facts,
      folder: {
        isFolder,
        owner: userName(uid),
        mode: mode & 0o7777,
        isWritable: await isWritable(path),
        foreign,
        ...(refusal === undefined ? {} : { refusal }),
      },
    }
  } catch (error) {
    if (isRefusal(error, 'ENOENT', 'ENOTDIR')) return facts
    throw error
  }
}

async function findRefusal(path: string): Promise<string | undefined> {
  try {
    await checkDataFormat(path)
    return undefined
  } catch (error) {
    if (error instanceof DataFormatError) return error.message
    if (isRefusal(error, 'EACCES')) return undefined
    throw error
  }
}

async function findForeign(path: string, uid: number): Promise<{ path: string; owner: string }[]> {
  const names = [
    ...(await namesIn(path)),
    ...(await namesIn(join(path, 'db'))).map((name) => join('db', name)),
  ]
  const looked = names
    .slice(0, maxLookedAt)
    .map(async (name) => ({ name, stats: await lstatOrGone(join(path, name)) }))
  return (await Promise.all(looked)).flatMap(({ name, stats }) =>
    stats === undefined || stats.uid === uid ? [] : [{ path: name, owner: userName(stats.uid) }],
  )
}

/** None where this user may not look, which another finding says. */
async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    if (isRefusal(error, 'ENOENT', 'EACCES')) return []
    throw error
  }
}

/** The database drops files while it works. */
async function lstatOrGone(path: string): Promise<{ uid: number } | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (isRefusal(error, 'ENOENT', 'EACCES')) return undefined
    throw error
  }
}

async function nearestAbove(path: string): Promise<string> {
  try {
    await stat(path)
    return path
  } catch (error) {
    if (!isRefusal(error, 'ENOENT') || dirname(path) === path) return path
    return await nearestAbove(dirname(path))
  }
}

async function isWritable(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK | constants.X_OK)
    return true
  } catch (error) {
    if (isRefusal(error, 'EACCES', 'EROFS', 'EPERM', 'ENOENT')) return false
    throw error
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(3, '0')
}

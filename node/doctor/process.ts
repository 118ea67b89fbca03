/** Whether a node runs on the data directory, and can be talked to. */
import { readFile, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { socketPath } from '../admin/protocol.ts'
import { formatDuration } from '../screen/output.ts'
import { type Check, type Finding, fault, fine, isRefusal, note } from './check.ts'

export interface ProcessFacts {
  data: string
  socket: 'answers' | 'stale' | 'forbidden' | 'absent'
  /** The process that has the database open, if any does and it can be told. */
  lockedBy?: number
  running?: { pid: number; upMs: number; version: string }
  /** Of this command. */
  version: string
}

export function judgeProcess({ data, socket, lockedBy, running, version }: ProcessFacts): Finding[] {
  if (running !== undefined) {
    const up = fine(`a node runs: process ${running.pid}, up ${formatDuration(running.upMs)}`)
    if (running.version === version) return [up]
    return [
      up,
      fault(
        `the node is of version ${running.version}, this command of ${version}`,
        'restart the node to finish the upgrade',
      ),
    ]
  }
  if (socket === 'forbidden') {
    return [
      note(
        'a node runs, and this user may not ask it',
        'run shoal doctor as the user of the node to learn more',
      ),
    ]
  }
  if (lockedBy !== undefined) {
    const gone = socket === 'answers' ? 'does not answer' : 'has no admin socket'
    return [
      fault(
        `process ${lockedBy} has the data directory open and ${gone}`,
        `it may be starting or stopping; if it stays so, restart it (its socket was removed, or is another version's)`,
      ),
    ]
  }
  if (socket === 'stale') {
    return [
      fault(
        `no node runs, and the last one left ${socketPath(data)} behind: it was killed or crashed`,
        'its log says why (journalctl -u shoal, dmesg for "Out of memory"); start it with shoal serve',
      ),
    ]
  }
  return [note('no node runs on this data directory', `start it with shoal serve --data ${data}`)]
}

export const nodeProcess: Check = {
  name: 'node',
  async examine({ settings, node }) {
    const { readVersion } = await import('../version.ts')
    const status = node?.status
    const lockedBy = await findLockHolder(join(settings.data, 'db', 'LOCK'))
    return judgeProcess({
      data: settings.data,
      socket: await trySocket(socketPath(settings.data)),
      ...(lockedBy === undefined ? {} : { lockedBy }),
      ...(status?.running === undefined
        ? {}
        : {
            running: {
              pid: status.running.pid,
              upMs: status.nowMs - status.running.startedMs,
              version: status.version,
            },
          }),
      version: await readVersion(),
    })
  },
}

function trySocket(path: string): Promise<ProcessFacts['socket']> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve('answers')
    })
    socket.once('error', (error) => {
      if (isRefusal(error, 'ECONNREFUSED')) resolve('stale')
      else if (isRefusal(error, 'EACCES', 'EPERM')) resolve('forbidden')
      else if (isRefusal(error, 'ENOENT', 'ENOTDIR', 'ENOTSOCK')) resolve('absent')
      else reject(error)
    })
  })
}

/** LevelDB holds an advisory lock, which the system lists by inode (proc_locks(5)). */
async function findLockHolder(path: string): Promise<number | undefined> {
  try {
    const { ino } = await stat(path)
    const line = (await readFile('/proc/locks', 'utf8'))
      .split('\n')
      .find((entry) => entry.includes(`:${ino} `))
    const pid = Number(line?.trim().split(/\s+/)[4])
    return Number.isInteger(pid) && pid > 0 ? pid : undefined
  } catch (error) {
    if (isRefusal(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return undefined
    throw error
  }
}

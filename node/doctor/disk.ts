/** Whether the disk has room, keeps what is written to it, and is one that a database may lie on. */
import { statfs } from 'node:fs/promises'
import { formatBytes } from '../screen/output.ts'
import { type Check, type Finding, fault, fine, isRefusal, note } from './check.ts'

export interface SpaceFacts {
  freeBytes: number
  totalBytes: number
  minFreeBytes: number
}

export interface LimitFacts {
  filledBytes: number
  maxBytes: number
  highBytes: number
  isStuck: boolean
}

/** A disk this full is full soon: so many times the reserve, or this part of the whole. */
const reserveTimes = 2
const nearlyFull = 0.03

export function judgeSpace({ freeBytes, totalBytes, minFreeBytes }: SpaceFacts): Finding[] {
  const left = `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} are free`
  const makeRoom = 'make room: shoal gc --plan says what may go, shoal rm removes images'
  if (freeBytes < minFreeBytes) {
    return [
      fault(
        `the disk is full: ${left}, and pushes and pulls are refused below ${formatBytes(minFreeBytes)}`,
        makeRoom,
      ),
    ]
  }
  if (freeBytes < Math.max(reserveTimes * minFreeBytes, nearlyFull * totalBytes)) {
    const reserve =
      minFreeBytes === 0 ? '' : `; below ${formatBytes(minFreeBytes)} pushes and pulls are refused`
    return [fault(`the disk is nearly full: ${left}${reserve}`, makeRoom)]
  }
  return [fine(left)]
}

/** Above the high mark only what may not go is left. */
export function judgeLimit({ filledBytes, maxBytes, highBytes, isStuck }: LimitFacts): Finding[] {
  const filled = `${formatBytes(filledBytes)} of the ${formatBytes(maxBytes)} of --max-disk are filled`
  if (filledBytes <= highBytes) return [fine(filled)]
  if (!isStuck) {
    return [
      note(
        `${filled}, above the mark of ${formatBytes(highBytes)}: what may go is being removed`,
        'shoal gc --plan says what that is; raise --max-disk where it happens all the time',
      ),
    ]
  }
  return [
    fault(
      `${filled}, and nothing more may go`,
      'shoal gc --plan says what is held; remove images with shoal rm, or raise --max-disk',
    ),
  ]
}

/** File systems by the number that statfs tells (linux/magic.h), with why the node should not lie on them. */
const unfit: Record<number, { name: string; why: string }> = {
  16914836: { name: 'tmpfs', why: 'which is memory: everything is gone after a restart of the machine' },
  2240043254: { name: 'ramfs', why: 'which is memory: everything is gone after a restart of the machine' },
  26985: { name: 'NFS', why: 'a network file system, on which the database can be damaged' },
  4283649346: { name: 'CIFS', why: 'a network file system, on which the database can be damaged' },
  4266872130: { name: 'SMB', why: 'a network file system, on which the database can be damaged' },
  1702057286: { name: 'FUSE', why: 'where it depends on the driver whether what was synced is kept' },
  2035054128: {
    name: 'overlayfs',
    why: 'the writable layer of a container: everything is gone with the container',
  },
}

export function judgeFileSystem(type: number): Finding[] {
  const known = unfit[type]
  if (known === undefined) return []
  return [
    fault(
      `the data directory is on ${known.name}, ${known.why}`,
      'choose a folder on a local disk with --data DIR, or mount a volume there',
    ),
  ]
}

export interface InodeFacts {
  files: number
  freeFiles: number
}

/** Some file systems make inodes as they need them, and tell none. */
export function judgeInodes({ files, freeFiles }: InodeFacts): Finding[] {
  if (files === 0 || freeFiles > 0.01 * files) return []
  return [
    fault(
      `only ${freeFiles} of ${files} inodes are free: files cannot be made though there is room`,
      'remove small files from that disk',
    ),
  ]
}

export const disk: Check = {
  name: 'disk',
  async examine({ settings, node }) {
    try {
      const { bavail, blocks, bsize, type, files, ffree } = await statfs(settings.data)
      const minFreeBytes = node?.status.disk.minFreeBytes ?? settings['min-free']
      return [
        ...judgeSpace({ freeBytes: bavail * bsize, totalBytes: blocks * bsize, minFreeBytes }),
        ...(node?.status.disk.limit === undefined ? [] : judgeLimit(node.status.disk.limit)),
        ...judgeInodes({ files, freeFiles: ffree }),
        ...judgeFileSystem(type),
      ]
    } catch (error) {
      if (isRefusal(error, 'ENOENT', 'ENOTDIR')) return []
      throw error
    }
  },
}

/**
 * A disk that lost power: from what a process did to its files, what may be there afterwards.
 *
 * As ext4, XFS and Btrfs do it: changes of names (made, renamed, removed) come to the disk in their order, so what is there is
 * some beginning of them. A sync of a folder brings those in it, a sync of a file that of its first name, and what came before.
 * Bytes that were not synced are there or not, each write for itself, whole or in part, whatever became of the names.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { isPrinted, type TimedCall, timeOf } from './trace.ts'

type Name =
  | { made: string; inode: number; isFolder: boolean }
  | { from: string; to: string }
  | { removed: string }
type Data = { inode: number; offset: number; bytes: Buffer } | { inode: number; size: number }

export type Step =
  | { type: 'name'; name: Name }
  | { type: 'data'; data: Data }
  /** `covers` is how many steps were over when it began. */
  | { type: 'sync'; inode: number; covers: number }
  | { type: 'printed'; text: string }

export interface Choice {
  /** 0 to 1: how much of the unsynced names is kept. */
  names: number
  /** Whether a write that was not synced is kept, and up to which byte of it. */
  keeps(length: number): number
}

export const everythingLost: Choice = { names: 0, keeps: () => 0 }
export const everythingKept: Choice = { names: 1, keeps: (length) => length }

interface OpenFile {
  inode: number
  position: number
  appends: boolean
}

export class RecordedDisk {
  readonly steps: Step[] = []
  readonly #root: string
  readonly #files = new Map<number, OpenFile>()
  /** As the process sees it. */
  readonly #names = new Map<string, number>([['', 0]])
  readonly #sizes = new Map<number, number>()
  /** When each step was over, in their order. */
  readonly #overNs: bigint[] = []
  #inodes = 1

  constructor(root: string, calls: TimedCall[]) {
    this.#root = root
    for (const call of calls) this.#take(call)
  }

  #take(call: TimedCall): void {
    if (isPrinted(call)) {
      this.#add(call, { type: 'printed', text: call.bytes.toString() })
    } else if (call.name === 'open') {
      this.#open(call)
    } else if (call.name === 'mkdir') {
      const path = this.#within(call.path)
      if (path !== undefined) this.#make(call, path, true)
    } else if (call.name === 'unlink') {
      const path = this.#within(call.path)
      if (path === undefined || !this.#names.delete(path)) return
      this.#add(call, { type: 'name', name: { removed: path } })
    } else if (call.name === 'rename') {
      this.#rename(call)
    } else {
      const file = this.#files.get(call.file)
      if (file !== undefined) this.#change(call, file)
    }
  }

  #change(call: TimedCall & { name: 'write' | 'truncate' | 'sync' }, file: OpenFile): void {
    const { inode } = file
    if (call.name === 'sync') {
      const covers = this.#overNs.filter((over) => over <= call.beganNs).length
      this.#add(call, { type: 'sync', inode, covers })
    } else if (call.name === 'truncate') {
      this.#resize(call, inode, call.size)
    } else {
      const { bytes } = call
      const size = this.#sizes.get(inode) ?? 0
      const offset = call.offset ?? (file.appends ? size : file.position)
      if (call.offset === undefined) file.position = offset + bytes.length
      this.#sizes.set(inode, Math.max(size, offset + bytes.length))
      this.#add(call, { type: 'data', data: { inode, offset, bytes } })
    }
  }

  #rename(call: TimedCall & { name: 'rename' }): void {
    const [from, to] = [this.#within(call.from), this.#within(call.to)]
    const inode = from === undefined ? undefined : this.#names.get(from)
    if (from === undefined || to === undefined || inode === undefined) return
    this.#names.delete(from)
    this.#names.set(to, inode)
    this.#add(call, { type: 'name', name: { from, to } })
  }

  #open(call: TimedCall & { name: 'open' }): void {
    this.#files.delete(call.file)
    const path = this.#within(call.path)
    if (path === undefined) return
    if (!this.#names.has(path) && call.creates) this.#make(call, path, false)
    const inode = this.#names.get(path)
    if (inode === undefined) return
    if (call.truncates && (this.#sizes.get(inode) ?? 0) > 0) this.#resize(call, inode, 0)
    this.#files.set(call.file, { inode, position: 0, appends: call.appends })
  }

  #make(call: TimedCall, path: string, isFolder: boolean): void {
    const inode = this.#inodes++
    this.#names.set(path, inode)
    this.#add(call, { type: 'name', name: { made: path, inode, isFolder } })
  }

  #resize(call: TimedCall, inode: number, size: number): void {
    this.#sizes.set(inode, size)
    this.#add(call, { type: 'data', data: { inode, size } })
  }

  #add(call: TimedCall, step: Step): void {
    this.steps.push(step)
    this.#overNs.push(timeOf(call))
  }

  #within(path: string): string | undefined {
    const inside = relative(this.#root, path)
    return inside.startsWith('..') ? undefined : inside
  }

  /** Makes in `folder` what is there when the power goes after the first `steps`. */
  async rebuild(folder: string, steps: number, choice: Choice): Promise<void> {
    const past = this.steps.slice(0, steps)
    const names = past.slice(0, this.#survivingNames(past, choice))
    const files = new Map<string, number>()
    for (const step of names) if (step.type === 'name') await rename(files, step.name, folder)
    for (const [path, inode] of files) {
      await mkdir(join(folder, dirname(path)), { recursive: true, mode: 0o700 })
      await writeFile(join(folder, path), contentOf(inode, past, choice), { mode: 0o600 })
    }
  }

  /** How many of the past steps the names are taken from. */
  #survivingNames(past: Step[], choice: Choice): number {
    let synced = 0
    for (const step of past) {
      if (step.type !== 'sync') continue
      const folder = this.#folders(step.inode)
      const last = past.slice(0, step.covers).findLastIndex((earlier) => {
        if (earlier.type !== 'name') return false
        const { name } = earlier
        if (folder === undefined) return 'made' in name && name.inode === step.inode
        return pathsOf(name).some((path) => dirname(path) === folder)
      })
      synced = Math.max(synced, last + 1)
    }
    return synced + Math.round((past.length - synced) * choice.names)
  }

  /** The path of a folder; `undefined` for a file. Folders are not renamed. */
  #folders(inode: number): string | undefined {
    if (inode === 0) return '.'
    for (const step of this.steps)
      if (step.type === 'name' && 'made' in step.name && step.name.inode === inode)
        return step.name.isFolder ? step.name.made : undefined
    return undefined
  }
}

function pathsOf(name: Name): string[] {
  if ('made' in name) return [name.made]
  return 'removed' in name ? [name.removed] : [name.from, name.to]
}

async function rename(files: Map<string, number>, name: Name, folder: string): Promise<void> {
  if ('made' in name) {
    if (name.isFolder) await mkdir(join(folder, name.made), { recursive: true, mode: 0o700 })
    else files.set(name.made, name.inode)
  } else if ('removed' in name) files.delete(name.removed)
  else {
    const inode = files.get(name.from)
    files.delete(name.from)
    if (inode !== undefined) files.set(name.to, inode)
  }
}

function contentOf(inode: number, past: Step[], choice: Choice): Buffer {
  let synced = 0
  for (const step of past)
    if (step.type === 'sync' && step.inode === inode) synced = Math.max(synced, step.covers)
  let content: Buffer = Buffer.alloc(0)
  for (const [index, step] of past.entries()) {
    if (step.type !== 'data' || step.data.inode !== inode) continue
    const { data } = step
    const length = 'size' in data ? 1 : data.bytes.length
    const kept = index < synced ? length : choice.keeps(length)
    if (kept === 0) continue
    content =
      'size' in data
        ? resized(content, data.size)
        : written(content, data.offset, data.bytes.subarray(0, kept))
  }
  return content
}

function resized(content: Buffer, size: number): Buffer {
  const next = Buffer.alloc(size)
  content.copy(next, 0, 0, size)
  return next
}

/** What lies between the end and a later write reads as zeros. */
function written(content: Buffer, offset: number, bytes: Buffer): Buffer {
  const next = resized(content, Math.max(content.length, offset + bytes.length))
  bytes.copy(next, offset)
  return next
}

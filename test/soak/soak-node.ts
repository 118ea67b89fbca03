/** A node of a soak: on a small disk of its own, with a clock that can be stepped, and everything that can happen to it. */
import { mkdir, open, readdir, readFile, rm, stat, statfs, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { ifThere } from '../e2e/if-there.ts'
import { run } from '../e2e/process.ts'
import { type ClusterNode, openClusterNode } from '../netns/cluster-node.ts'
import type { NetworkHost } from '../netns/network.ts'
import { patient } from './patience.ts'

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')
const diskBytes = '1g'
const readyMs = 30_000
/** An orderly stop takes less than 10 s, as docs/operations.md says, and the process is to end. */
const stopMs = 15_000
/** Longer than any fault lasts: whoever waits for a stopped node has its answer after that. */
const idleMs = 180_000
/** Of a command, which waits for a node that starts. */
const commandMs = 60_000
const fillChunkBytes = 4 * 1024 * 1024

export interface SoakNodeOptions {
  flags: string[]
  clockFile: string
  onOutput: (text: string) => void
}

/** Whether it can answer now, and since when: an operation is judged by what its node went through meanwhile. */
export type NodeState = 'up' | 'down' | 'starting' | 'paused'

export class SoakNode implements AsyncDisposable {
  readonly node: ClusterNode
  readonly #clockFile: string
  readonly #filler: string
  state: NodeState = 'up'
  /** When that last changed. */
  changedMs = 0
  clockAheadMs = 0
  isFull = false
  /** Digests whose file was damaged. */
  readonly rotten = new Set<string>()
  /** Ended by itself, or would not end. */
  fault: string | undefined

  private constructor(node: ClusterNode, clockFile: string) {
    this.node = node
    this.#clockFile = clockFile
    this.#filler = path.join(this.data, 'filler')
  }

  static async open(host: NetworkHost, { flags, clockFile, onOutput }: SoakNodeOptions): Promise<SoakNode> {
    await writeFile(clockFile, '0')
    const preload = pathToFileURL(path.join(import.meta.dirname, '../netns/stepped-clock.ts'))
    const node = await openClusterNode(host, {
      flags,
      env: { NODE_OPTIONS: `--import ${preload.href}`, TEST_CLOCK: clockFile },
      idleMs,
      readyMs: () => patient(readyMs),
      onOutput,
      async prepare(data) {
        await mkdir(data, { mode: 0o700 })
        await run('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes},mode=0700`, 'tmpfs', data])
      },
    })
    return new SoakNode(node, clockFile)
  }

  get data(): string {
    return this.node.folder.at('data')
  }

  /** Whether it went on without a break, and could answer, from that time on. */
  steadySince(ms: number): boolean {
    return this.state === 'up' && this.changedMs < ms
  }

  enter(state: NodeState, nowMs: number): void {
    this.state = state
    this.changedMs = nowMs
  }

  /** Ends it orderly; resolves to what was wrong with that. */
  async stop(): Promise<string | undefined> {
    const late = Symbol()
    const { promise, resolve } = Promise.withResolvers<typeof late>()
    const limitMs = patient(stopMs)
    const timer = setTimeout(() => resolve(late), limitMs)
    const end = await Promise.race([this.node.stop(), promise])
    clearTimeout(timer)
    if (end === late) {
      await this.node.kill()
      return `did not end within ${Math.round(limitMs / 1000)} s of SIGTERM`
    }
    const code = this.node.exitCode()
    return code === 0 ? undefined : `ended with exit code ${code} after SIGTERM`
  }

  /** Runs the command line on its data directory; resolves to what it printed. */
  async shoal(...args: string[]): Promise<string> {
    const { stdout } = await run(shoal, [...args, '--data', this.data], { timeoutMs: patient(commandMs) })
    return stdout.trim()
  }

  async stepClock(aheadMs: number): Promise<void> {
    this.clockAheadMs = aheadMs
    await writeFile(this.#clockFile, String(aheadMs))
    // One that is down reads the file when it starts.
    if (this.node.running()) this.node.signal('SIGUSR2')
  }

  /** Takes all of the disk but so many bytes. */
  async fillDisk(leftBytes: number): Promise<void> {
    const file = await open(this.#filler, 'w')
    try {
      this.isFull = true
      for (;;) {
        const { bavail, bsize } = await statfs(this.data)
        const bytes = Math.min(fillChunkBytes, bavail * bsize - leftBytes)
        if (bytes <= 0) return
        await file.write(Buffer.alloc(bytes))
      }
    } catch (error) {
      // The node writes meanwhile: that leaves less than there was a moment ago.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
    } finally {
      await file.close()
    }
  }

  async freeDisk(): Promise<void> {
    await rm(this.#filler, { force: true })
    this.isFull = false
  }

  /** The digests that have a file, and its size. */
  async blobFiles(): Promise<Map<string, { file: string; size: number }>> {
    const found = new Map<string, { file: string; size: number }>()
    const folder = path.join(this.data, 'blobs')
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/^[0-9a-f]{64}$/.test(entry.name)) continue
      const file = path.join(entry.parentPath, entry.name)
      const facts = await ifThere(stat(file))
      if (facts !== undefined) found.set(`sha256:${entry.name}`, { file, size: facts.size })
    }
    return found
  }

  /** Turns a byte of one blob's file over, or cuts the file; resolves to its digest, `undefined` where there is none. */
  async rot(which: number, truncates: boolean): Promise<string | undefined> {
    const files = [...(await this.blobFiles())].filter(([, { size }]) => size > 0).toSorted()
    const chosen = files[Math.floor(which * files.length)]
    if (chosen === undefined) return undefined
    const [digest, { file, size }] = chosen
    const at = Math.floor(((which * files.length) % 1) * size)
    if (truncates) await truncate(file, at)
    else await turnOver(file, at)
    this.rotten.add(digest)
    return digest
  }

  /** Resident memory of its process in bytes; `undefined` where it is gone. */
  async residentBytes(): Promise<number | undefined> {
    const pid = this.node.pid()
    if (pid === undefined || !this.node.running()) return undefined
    const status = await ifThere(readFile(`/proc/${pid}/status`, 'utf8'))
    const kib = /^VmRSS:\s+(\d+) kB/m.exec(status ?? '')?.[1]
    return kib === undefined ? undefined : Number(kib) * 1024
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]()
  }
}

async function turnOver(file: string, at: number): Promise<void> {
  // A bad sector changes what is read and nothing else, so the file's time stays.
  const handle = await open(file, 'r+')
  try {
    const { atime, mtime } = await handle.stat()
    const byte = Buffer.alloc(1)
    await handle.read(byte, 0, 1, at)
    byte[0] = (byte[0] ?? 0) ^ 0x10
    await handle.write(byte, 0, 1, at)
    await handle.utimes(atime, mtime)
  } finally {
    await handle.close()
  }
}

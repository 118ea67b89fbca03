/**
 * A folder that strangers may have prepared, and may change meanwhile: no link in it is followed, and no file that is there is
 * written to. What is opened once is gone on from by its descriptor, as `openat` does where Linux has it, so that a folder that is
 * swapped for a link leads nowhere.
 */
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ArchiveError } from './errors.ts'

const unfinished = '.unfinished'
const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants

export class SafeFolder implements AsyncDisposable {
  readonly #handle: FileHandle
  readonly #name: string

  private constructor(handle: FileHandle, name: string) {
    this.#handle = handle
    this.#name = name
  }

  /** The folder itself may be named by a link: whoever names it has chosen that. */
  static async open(path: string): Promise<SafeFolder> {
    return new SafeFolder(await open(path, O_RDONLY | O_DIRECTORY), path)
  }

  /** A folder in it, made where it is not there. Throws ArchiveError for a link, and for what is no folder. */
  async enter(name: string): Promise<SafeFolder> {
    const path = this.#at(name)
    try {
      await mkdir(path)
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
    }
    try {
      return new SafeFolder(await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), join(this.#name, name))
    } catch (error) {
      throw isLink(error) ? this.#refusal(name, 'folder', error) : error
    }
  }

  /** An existing file; `undefined` when it is not there. Throws ArchiveError for a link, and for what is no plain file. */
  async find(name: string): Promise<FileHandle | undefined> {
    let file: FileHandle
    try {
      // Without waiting: a pipe would never open.
      file = await open(this.#at(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      throw isLink(error) ? this.#refusal(name, 'file', error) : error
    }
    if ((await file.stat()).isFile()) return file
    await file.close()
    throw this.#refusal(name, 'file')
  }

  /** A new file with all that `write` writes, or none; what had its name is replaced, not written to. */
  async put(name: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
    const file = await this.create(name)
    try {
      try {
        await write(file)
        await file.sync()
      } finally {
        await file.close()
      }
      await this.name(name)
    } catch (error) {
      await this.forget(name)
      throw error
    }
  }

  /** A new file under a name of its own, until it is finished. What an earlier run left there is removed. */
  async create(name: string): Promise<FileHandle> {
    await this.forget(name)
    return await open(this.#at(name + unfinished), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
  }

  /** Gives what `create` made its name. */
  async name(name: string): Promise<void> {
    await rename(this.#at(name + unfinished), this.#at(name))
  }

  async forget(name: string): Promise<void> {
    await rm(this.#at(name + unfinished), { force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }

  #at(name: string): string {
    const folder = process.platform === 'linux' ? `/proc/self/fd/${this.#handle.fd}` : this.#name
    return `${folder}/${name}`
  }

  #refusal(name: string, kind: 'file' | 'folder', cause?: unknown): ArchiveError {
    const path = join(this.#name, name)
    return new ArchiveError(
      `${path} is no plain ${kind}; links are not followed: remove it, or use another folder`,
      {
        cause,
      },
    )
  }
}

/** As Linux and BSD say it of a link that is not followed, and Linux of one that should be a folder. */
function isLink(error: unknown): boolean {
  return ['ELOOP', 'EMLINK', 'ENOTDIR', 'ENXIO'].includes(codeOf(error) ?? '')
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}

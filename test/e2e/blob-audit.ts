/** Looks at a node's blob folder from outside: every file there must hash to its name; one that goes meanwhile is none. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { ifThere } from './if-there.ts'

export class BlobAudit {
  readonly #folder: string
  /** What was hashed before and has not changed since. */
  readonly #proven = new Map<string, string>()

  constructor(data: string) {
    this.#folder = path.join(data, 'blobs')
  }

  /** The paths of files whose bytes do not hash to their name, and how many files there are. */
  async run(): Promise<{ files: number; wrong: string[] }> {
    const entries = await readdir(this.#folder, { recursive: true, withFileTypes: true })
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
    const wrong: string[] = []
    for (const file of files) {
      const facts = await ifThere(stat(file, { bigint: true }))
      if (facts === undefined) continue
      const { ino, size, mtimeNs, ctimeNs } = facts
      const version = [ino, size, mtimeNs, ctimeNs].join('/')
      if (this.#proven.get(file) === version) continue
      const proven = await ifThere(isProven(path.relative(this.#folder, file), file))
      if (proven === true) this.#proven.set(file, version)
      else if (proven === false) wrong.push(file)
    }
    return { files: files.length, wrong }
  }
}

/** The name is `ALGORITHM/…/HEX`. */
async function isProven(name: string, file: string): Promise<boolean> {
  const algorithm = name.split(path.sep)[0] ?? ''
  if (algorithm !== 'sha256' && algorithm !== 'sha512') return false
  const hash = createHash(algorithm)
  for await (const chunk of createReadStream(file)) hash.update(chunk)
  return hash.digest('hex') === path.basename(file)
}

/** The format of a data directory: a number in a file of its own, so that no version touches what a later one wrote. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CodedError } from '../src/base/base.ts'
import { writeSecretFile } from '../src/swarm/cluster/secret-file.ts'

/**
 * Goes up when data can no longer be read by the versions before; the change brings what converts the older data.
 * Of 2 records may be seals, and policies may name sealers; of 3 they may be accounts, and policies may have access rules; of 4 the
 * record of a tag may tell its home. What stands in data of an earlier format stands in it as it is.
 */
export const dataFormat = 4

/** The data directory was written by a later version of Shoal, or its mark is damaged. Nothing in it was touched. */
export class DataFormatError extends CodedError {
  readonly code = 'DATA_FORMAT'
}

/** Throws DataFormatError unless this version may open the directory. One without a mark is new, or older than marks. */
export async function checkDataFormat(directory: string): Promise<void> {
  await readMark(directory)
}

/** Marks a directory that has no mark yet or an earlier one; durable when it resolves. */
export async function markDataFormat(directory: string): Promise<void> {
  if ((await readMark(directory)) === dataFormat) return
  await writeSecretFile(markPath(directory), `${dataFormat}\n`)
}

async function readMark(directory: string): Promise<number | undefined> {
  const path = markPath(directory)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  const [, digits] = /^([1-9]\d{0,8})\n$/.exec(text) ?? []
  if (digits === undefined) {
    throw new DataFormatError(
      `${path} holds ${JSON.stringify(text.slice(0, 40))}, which is no format number; restore the data directory, or write ${dataFormat} and a line end there if no later version of Shoal ever ran on it`,
    )
  }
  const format = Number(digits)
  if (format <= dataFormat) return format
  throw new DataFormatError(
    `${directory} was written by a later version of Shoal: its format is ${format}, this version reads up to ${dataFormat}; run the later version, or give this one another directory with --data`,
  )
}

function markPath(directory: string): string {
  return join(directory, 'format')
}

/** What a running node loads only when somebody asks for it, from files that an upgrade may have taken. */
import { existsSync } from 'node:fs'
import { CodedError } from '../src/base/base.ts'

export class ProgramReplacedError extends CodedError {
  readonly code = 'PROGRAM_REPLACED'

  constructor(cause: unknown) {
    super(`${replacedText}; what this needs had not been loaded yet`, { cause })
  }
}

const replacedText =
  'the files of this program were replaced or removed while the node runs: restart it to finish the upgrade'

/** Throws `PROGRAM_REPLACED` where what `load` imports is gone. */
export async function late<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')
      throw new ProgramReplacedError(error)
    throw error
  }
}

/** `file` is one of the program, which each build names by what it leads to. What is loaded goes on: content is taken and given. */
export function replacementNotes(file: string): string[] {
  return existsSync(file) ? [] : [replacedText]
}

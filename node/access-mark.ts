/**
 * Remembers beside the database that the cluster has access rules: a node whose database lost the policy lets nobody in by
 * rules that it does not know, until a member has told it anew.
 */
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '../src/base/base.ts'
import type { Ledger } from '../src/records/records.ts'
import { hasAccessRules } from './network-access.ts'

export interface AccessMark extends AsyncDisposable {
  /** Whether the policy that was known last had access rules. */
  readonly isSet: boolean
}

type Names = Pick<Ledger, 'policy' | 'findRecord' | 'onChange'>

export function openAccessMark(directory: string, names: Names, logger: Logger): AccessMark {
  const file = join(directory, 'access-rules')
  let isSet = existsSync(file)
  let writing = Promise.resolve()
  const write = async (isWanted: boolean): Promise<void> => {
    try {
      if (isWanted) await writeFile(file, '', { mode: 0o600, flush: true })
      else await rm(file, { force: true })
    } catch (error) {
      logger.warn({ err: error, file }, 'it could not be noted whether the cluster has access rules')
    }
  }
  const look = (): void => {
    // Without a policy nothing is known, which is when the mark counts.
    if (names.findRecord({ kind: 'policy' }) === undefined || hasAccessRules(names) === isSet) return
    isSet = hasAccessRules(names)
    const isWanted = isSet
    writing = writing.then(() => write(isWanted))
  }
  const stop = names.onChange(look)
  look()
  return {
    get isSet() {
      return isSet
    },
    async [Symbol.asyncDispose]() {
      stop()
      await writing
    },
  }
}

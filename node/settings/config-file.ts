/** The config file: a JSON object whose keys are settings. */
import { readFileSync } from 'node:fs'
import { systemReason } from '../../src/base/base.ts'
import { table } from './table.ts'
import { UsageError } from './usage-error.ts'

/** Throws UsageError, which quotes nothing of what the file holds but a key that is not known. */
export function readConfigFile(file: string): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    // A parser quotes the text around the fault, which may be a password.
    const reason = systemReason(cause).replace(/, (?:\.\.\.)?".*"(?:\.\.\.)? is not valid JSON$/s, '')
    throw new UsageError(`--config: ${file} cannot be read as JSON: ${reason}`)
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new UsageError(`--config: ${file} does not hold a JSON object`)
  }
  const unknown = Object.keys(parsed).find((key) => !Object.hasOwn(table, key))
  if (unknown !== undefined) {
    throw new UsageError(`--config: ${file} sets "${unknown}"; known are ${Object.keys(table).join(', ')}`)
  }
  return parsed as Record<string, unknown>
}

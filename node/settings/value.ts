/** One setting's value, read from what was given somewhere, or refused without telling a secret. */
import type { Setting } from './table.ts'
import { UsageError } from './usage-error.ts'

export function readValue(
  setting: Setting<unknown>,
  source: string,
  given: unknown,
  file: string | undefined,
): unknown {
  if (setting.repeatable) {
    const one = typeof given === 'object' ? [given] : given === '' ? [] : String(given).split(',')
    const list = given === undefined ? [] : Array.isArray(given) ? given : one
    return list.map((item) => readOne(setting, source, item, file))
  }
  return given === undefined ? undefined : readOne(setting, source, given, file)
}

function readOne(
  setting: Setting<unknown>,
  source: string,
  given: unknown,
  file: string | undefined,
): unknown {
  const asText = stringOf(given)
  const asObject = typeof given === 'object' && given !== null ? given : undefined
  try {
    if (asObject !== undefined && setting.fromObject !== undefined)
      return setting.fromObject(asObject, file ?? '')
    return setting.kind(asText ?? '')
  } catch (error) {
    const accepted = (error as Error).message
    throw new UsageError(`${source}: ${shown(given)} is not accepted; expected ${accepted}`, { cause: error })
  }
}

/** What was given, without what may be a secret in it: an object's values, and who a URL logs in as. */
function shown(given: unknown): string {
  const text = stringOf(given)
  if (text !== undefined) return `"${text.replace(/:\/\/[^/\s]*@/g, '://…@')}"`
  if (typeof given !== 'object' || given === null) return JSON.stringify(given)
  return Array.isArray(given) ? 'a list' : `an object with ${Object.keys(given).join(', ')}`
}

function stringOf(value: unknown): string | undefined {
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : undefined
}

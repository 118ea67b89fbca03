/** The settings, and a command's own flags, on a command line and in its help. */
import { parseArgs } from 'node:util'
import { nearest } from '../command-line/nearest.ts'
import { flag, type Kind, path } from './kinds.ts'
import { type Setting, type SettingName, table } from './table.ts'
import { UsageError } from './usage-error.ts'

/** A flag of one command; a text or a truth, or with `multiple` a list of them. */
export type ExtraFlag = { type: 'string' | 'boolean'; multiple?: boolean; short?: string }

/** What was given of the flags `F`. */
export type ExtraValues<F extends Record<string, ExtraFlag>> = {
  [N in keyof F]: undefined | (F[N] extends { multiple: true } ? ValueOfFlag<F[N]>[] : ValueOfFlag<F[N]>)
}
type ValueOfFlag<F extends ExtraFlag> = F['type'] extends 'boolean' ? boolean : string

export function parseFlags(args: string[], extra: Record<string, ExtraFlag>) {
  const options: Record<string, { type: 'string' | 'boolean'; multiple?: boolean }> = {
    config: { type: 'string' },
    ...extra,
  }
  for (const [name, setting] of Object.entries<Setting<unknown>>(table)) {
    if (Object.hasOwn(extra, name)) continue
    options[name] = {
      type: setting.kind === flag ? 'boolean' : 'string',
      multiple: setting.repeatable ?? false,
    }
  }
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError(describeRefusal(error as Error, Object.keys(options)), { cause: error })
  }
}

/** As node:util means it, with the flag that was probably meant, or how a value is written. */
function describeRefusal({ message }: Error, known: string[]): string {
  const [, flag, isMissing] =
    /^Option '(?:-\w, )?(--[^' ]+)(?: <value>)?' (argument missing)?/.exec(message) ?? []
  const [, ambiguous] = /is ambiguous[\s\S]*use '(--[^=]+)=/.exec(message) ?? []
  if (ambiguous !== undefined)
    return `${ambiguous} needs a value, and what follows begins with a dash; write ${ambiguous}=VALUE if that is the value`
  if (flag !== undefined && isMissing !== undefined) return `${flag} needs a value`
  if (flag !== undefined) return `${flag} takes no value`
  const [refusal, unknown = ''] = /^Unknown option '--?([^']*)'/.exec(message) ?? []
  if (refusal === undefined) return message
  const meant = nearest(unknown, known)
  return meant === undefined
    ? `${refusal}; --help lists what is known`
    : `${refusal}; did you mean --${meant}?`
}

/** Reads a flag of one command's own, from `extra`; `undefined` when it was not given. Throws UsageError. */
export function readFlag<T>(kind: Kind<T>, name: string, given: string | boolean | undefined): T | undefined {
  if (typeof given !== 'string') return undefined
  try {
    return kind(given)
  } catch (error) {
    throw new UsageError(`--${name}: "${given}" is not accepted; expected ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** The settings as flags for a help text, `--config` among them. */
export function flagsOfSettings(
  names: SettingName[],
): Record<string, { kind: Kind<unknown>; value?: string; help: string }> {
  const flags = names.map((name) => {
    const { kind, value, help, fallback }: Setting<unknown> = table[name]
    const note = fallback === undefined || value === '' ? '' : ` (default ${fallback})`
    return [name, { kind, ...(value === '' ? {} : { value }), help: `${help}${note}` }]
  })
  const config = { kind: path, value: 'FILE', help: 'a JSON file with any of the settings as keys' }
  return { ...Object.fromEntries(flags), config }
}

/** One command, declared once: its help, the reading of its arguments and its completion come from the same words. */

import { flag, type Kind, text } from '../settings/kinds.ts'
import {
  type ExtraFlag,
  readFlag,
  readSettings,
  type SettingName,
  type Settings,
  UsageError,
} from '../settings/settings.ts'
import { renderHelp } from './command-help.ts'

export interface Flag<T = unknown> {
  /** `flag` for one that takes no value. */
  kind: Kind<T>
  /** What stands after it in the help, such as TIME. */
  value?: string
  help: string
  /** One that may be given several times, and is a list. */
  repeatable?: true
  /** One letter that stands for it after a single dash. */
  short?: string
}

export type Flags = Record<string, Flag>

/** As given: `false` for a switch that was not, `undefined` for a value that was not, an empty list for several. */
export type FlagValues<F extends Flags> = {
  [N in keyof F]: F[N] extends Flag<infer T>
    ? F[N] extends { repeatable: true }
      ? T[]
      : T extends boolean
        ? boolean
        : T | undefined
    : never
}

export interface Declaration<F extends Flags> {
  /** The ways to write it, without `shoal`. */
  usage: string[]
  /** What it does, as paragraphs of lines that fit a screen. */
  about: string
  flags: F
  /** Which settings its help names; it accepts all of them. Default: `data`. */
  settings?: SettingName[]
  /** Command lines without `shoal`, each with what it is for. */
  examples: [line: string, purpose: string][]
  /** What its first word can be, where that is known. */
  actions?: string[]
  /** How many words it takes at most. */
  maxWords: number
  /** Returns the exit code. */
  run(call: Call<F>): Promise<number>
}

export interface Call<F extends Flags> {
  settings: Settings
  words: string[]
  flags: FlagValues<F>
}

/** What the command line needs of a command. */
export interface Command {
  /** Printed by `shoal COMMAND --help`. */
  readonly help: string
  readonly declaration?: Declaration<Flags>
  /** Returns the exit code. Throws UsageError for arguments that are not understood. */
  run(args: string[]): Promise<number>
}

/** The flag that prints for programs instead of for people. */
export const json = { kind: flag, help: 'print JSON' } satisfies Flag<boolean>

/** The flag that leaves out what is for other platforms. */
export const platform = {
  kind: text,
  value: 'OS/ARCH',
  help: 'of images for several platforms only this one; may be given several times',
  repeatable: true,
} satisfies Flag<string>

export function defineCommand<const F extends Flags>(declaration: Declaration<F>): Command {
  return {
    declaration: declaration as unknown as Declaration<Flags>,
    get help() {
      return renderHelp(declaration)
    },
    async run(args) {
      return await declaration.run(readCall(declaration, args))
    },
  }
}

function readCall<F extends Flags>({ usage, flags, maxWords }: Declaration<F>, args: string[]): Call<F> {
  const types = Object.entries(flags).map(([name, declared]) => [name, typeOf(declared)])
  const { settings, rest, extra } = readSettings(
    args,
    process.env,
    Object.fromEntries(types) as Record<string, ExtraFlag>,
  )
  const surplus = rest[maxWords]
  if (surplus !== undefined) {
    // Of accounts it may be a password, which is not to be repeated where others read it.
    throw new UsageError(
      `${'password-stdin' in flags ? 'there' : `"${surplus}"`} is one word too many; expected: ${usageLines(usage, rest[0])}`,
    )
  }
  const values = Object.entries(flags).map(([name, declared]) => [
    name,
    valueOfFlag(declared, name, extra[name]),
  ])
  return { settings, words: rest, flags: Object.fromEntries(values) as FlagValues<F> }
}

function typeOf({ kind, repeatable, short }: Flag): ExtraFlag {
  if (kind === flag) return { type: 'boolean' }
  return {
    type: 'string',
    ...(repeatable ? { multiple: true } : {}),
    ...(short === undefined ? {} : { short }),
  }
}

function valueOfFlag({ kind, repeatable }: Flag, name: string, given: Given): unknown {
  if (kind === flag) return given === true
  if (!repeatable) return readFlag(kind, name, Array.isArray(given) ? undefined : given)
  return Array.isArray(given) ? given.map((item) => readFlag(kind, name, item)) : []
}

type Given = string | boolean | string[] | undefined

/** For a message that says how a command is written: of those ways the ones that begin with `action`, where there are any. */
export function usageLines(usage: string[], action?: string): string {
  const meant = usage.filter(
    (line) => action !== undefined && line.split(' ')[1]?.split('|').includes(action),
  )
  return (meant.length === 0 ? usage : meant).map((line) => `shoal ${line}`).join(' | ')
}

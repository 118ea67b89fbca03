/** Completion scripts for shells, made from what the commands declare. */

import { flag } from '../settings/kinds.ts'
import { flagsOfSettings } from '../settings/settings.ts'
import { commands } from './cli.ts'

/** What a shell can complete of one command. */
export interface CompletedCommand {
  name: string
  summary: string
  actions: string[]
  flags: CompletedFlag[]
}

export interface CompletedFlag {
  name: string
  help: string
  /** What its value is called; absent for a switch. */
  value?: string
}

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

/** Loads every command, which is light: what they work with is loaded when they run. */
export async function describeCommands(): Promise<CompletedCommand[]> {
  return await Promise.all(
    Object.entries(commands).map(async ([name, { summary, load }]) => {
      const { declaration } = (await load()).command
      const declared = { ...declaration?.flags, ...flagsOfSettings(declaration?.settings ?? ['data']) }
      const flags = Object.entries(declared).map(([flagName, { kind, value = 'VALUE', help }]) => ({
        name: flagName,
        help,
        ...(kind === flag ? {} : { value }),
      }))
      return { name, summary, actions: declaration?.actions ?? [], flags }
    }),
  )
}

export function completionScript(shell: Shell, described: CompletedCommand[]): string {
  return { bash, zsh, fish }[shell](described)
}

/** Values that are paths, after which the shell completes files. */
const isPath = ({ value }: CompletedFlag): boolean => value === 'DIR' || value === 'FILE'

function bash(described: CompletedCommand[]): string {
  const cases = described.map(({ name, actions, flags }) => {
    const words = [...flags.map((one) => `--${one.name}`), '--help'].join(' ')
    return `    ${name}) flags="${words}" actions="${actions.join(' ')}" ;;`
  })
  const paths = namesOf(described, isPath)
  const values = namesOf(described, (one) => one.value !== undefined && !isPath(one))
  return `# bash completion for shoal: source it, or write it to /etc/bash_completion.d/shoal
_shoal() {
  local word=\${COMP_WORDS[COMP_CWORD]} last=\${COMP_WORDS[COMP_CWORD-1]} flags="" actions=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${described.map(({ name }) => name).join(' ')} help version" -- "$word"))
    return
  fi
  case $last in
    ${paths.map((name) => `--${name}`).join('|')}) COMPREPLY=($(compgen -f -- "$word")); return ;;
    ${values.map((name) => `--${name}`).join('|')}) return ;;
  esac
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
    help) actions="${described.map(({ name }) => name).join(' ')}" ;;
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
    *) [ "$COMP_CWORD" -eq 2 ] && COMPREPLY=($(compgen -W "$actions" -- "$word")) ;;
  esac
}
complete -o default -F _shoal shoal
`
}

function zsh(described: CompletedCommand[]): string {
  const names = described.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`)
  const cases = described.map(({ name, actions, flags }) => {
    const specs = flags.map((one) => {
      const value = one.value === undefined ? '' : `:${one.value}:${isPath(one) ? '_files' : ' '}`
      return quoted(`--${one.name}[${one.help.replace(/[[\]:\\]/g, '\\$&')}]${value}`)
    })
    const first = actions.length === 0 ? "'1:word:_files'" : quoted(`1:action:(${actions.join(' ')})`)
    return `    ${name}) _arguments ${specs.join(' ')} ${first} '*:word:_files' ;;`
  })
  return `#compdef shoal
# zsh completion for shoal: write it to a file _shoal in a folder of $fpath
_shoal() {
  local -a names
  names=(
${names.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command names
    return
  fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
${cases.join('\n')}
  esac
}
# Loaded from $fpath it is called at once; sourced, it only makes itself known.
if [ "$funcstack[1]" = _shoal ]; then _shoal "$@"; else compdef _shoal shoal; fi
`
}

function fish(described: CompletedCommand[]): string {
  const lines = described.flatMap(({ name, summary, actions, flags }) => {
    const here = `-n ${quoted(`__fish_seen_subcommand_from ${name}`)}`
    return [
      `complete -c shoal -f -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
      ...(actions.length === 0 ? [] : [`complete -c shoal -f ${here} -a ${quoted(actions.join(' '))}`]),
      ...flags.map((one) => {
        const value = one.value === undefined ? '' : isPath(one) ? ' -r -F' : ' -x'
        return `complete -c shoal ${here} -l ${one.name}${value} -d ${quoted(one.help)}`
      }),
    ]
  })
  return `# fish completion for shoal: write it to ~/.config/fish/completions/shoal.fish\n${lines.join('\n')}\n`
}

/** For a shell, in single quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

function namesOf(described: CompletedCommand[], wanted: (one: CompletedFlag) => boolean): string[] {
  return [...new Set(described.flatMap(({ flags }) => flags.filter(wanted).map(({ name }) => name)))]
}

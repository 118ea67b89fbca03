/** `shoal completion`: what a shell needs to complete commands and flags. */
import { defineCommand, json, usageLines } from '../command-line/command.ts'
import { completionScript, describeCommands, shells } from '../command-line/completion.ts'
import { print, printJson } from '../screen/output.ts'
import { UsageError } from '../settings/settings.ts'

const usage = ['completion bash|zsh|fish', 'completion --json']

export const command = defineCommand({
  usage,
  about:
    'Prints a script that completes commands and flags in your shell. --json prints what it is made from.',
  flags: { json },
  settings: [],
  actions: [...shells],
  maxWords: 1,
  examples: [
    ['completion bash >/etc/bash_completion.d/shoal', 'for all users of bash'],
    ['completion zsh >~/.zfunc/_shoal', 'for zsh, with ~/.zfunc in $fpath'],
    ['completion fish >~/.config/fish/completions/shoal.fish', 'for fish'],
  ],
  async run({ words: [name], flags }) {
    const shell = shells.find((known) => known === name)
    if (flags.json && name === undefined) printJson(await describeCommands())
    else if (shell === undefined) {
      throw new UsageError(
        `${name === undefined ? '' : `"${name}" is no shell that is known; `}expected: ${usageLines(usage)}`,
      )
    } else if (flags.json) printJson({ script: completionScript(shell, await describeCommands()) })
    else print(completionScript(shell, await describeCommands()))
    return 0
  },
})

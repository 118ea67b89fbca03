/** docs/commands.md, made from what the commands declare. */
import { commands } from '../../node/command-line/cli.ts'

export async function commandsPage(): Promise<string> {
  const parts = await Promise.all(
    Object.entries(commands).map(async ([name, { summary, load }]) => {
      const { help } = (await load()).command
      return `## shoal ${name}\n\n${capitalized(summary)}.\n\n\`\`\`text\n${help}\`\`\`\n`
    }),
  )
  return `# Commands

Every command talks to the node that runs on its data directory, over a socket there, and where none runs works on the data
itself, as far as that goes. \`--json\` prints for programs, and what went wrong as \`{"error":{"code","message"}}\` on standard error.
Exit codes are 0 for done, 1 for failed (\`shoal status\`: no node
runs; \`shoal verify\` and \`shoal doctor\`: something was found), and 2 for not understood. Colours and progress are shown on
terminals alone; \`NO_COLOR\` turns colours off. \`shoal completion\` makes shells complete all of this.

This page is what \`shoal COMMAND --help\` prints; \`npm run docs\` writes it.

${parts.join('\n')}`
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

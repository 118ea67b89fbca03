/** `shoal ls`: the repositories, or the tags of one. */
import type { Command } from '../cli.ts'
import type { ListedRow } from '../operations/operations.ts'
import { formatBytes, formatTable, formatTime, print, printJson } from '../output.ts'
import { perform } from '../perform.ts'
import { readSettings, settingsHelp, UsageError } from '../settings.ts'

export const command: Command = {
  help: `shoal ls [REPOSITORY] [--json]

Lists the repositories, or the tags of one with what they point to.

  --json                  print one JSON array
${settingsHelp(['data'])}
`,
  async run(args) {
    const { settings, rest, extra } = readSettings(args, process.env, { json: { type: 'boolean' } })
    const [repository, surplus] = rest
    if (surplus !== undefined) throw new UsageError(`ls takes one repository; "${surplus}" is one too many`)
    const rows: ListedRow[] = []
    for (let after: string | undefined, more = true; more; more = after !== undefined) {
      const page = await perform(settings, 'ls', {
        ...(repository === undefined ? {} : { repository }),
        ...(after === undefined ? {} : { after }),
      })
      rows.push(...page.rows)
      after = page.next
    }
    if (extra.json === true) printJson(rows)
    else print(formatTable(rows.map(cells)))
    return 0
  },
}

function cells({ name, digest = '', size, writtenMs }: ListedRow): string[] {
  if (digest === '') return [name]
  return [
    name,
    digest,
    size === undefined ? '' : formatBytes(size),
    writtenMs === undefined ? '' : formatTime(writtenMs),
  ]
}

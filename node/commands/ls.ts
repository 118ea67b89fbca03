/** `shoal ls`: the repositories, or the tags of one. */

import { perform } from '../admin/perform.ts'
import { defineCommand, json } from '../command-line/command.ts'
import type { ListedRow } from '../operations/operations.ts'
import { formatBytes, formatTable, formatTime, print, printJson } from '../screen/output.ts'

export const command = defineCommand({
  usage: ['ls [REPOSITORY] [--json]'],
  about:
    'Lists the repositories, or the tags of one with what they point to, the size of the manifest and when it was set.',
  flags: { json },
  maxWords: 1,
  examples: [
    ['ls', 'the repositories'],
    ['ls team/app', 'the tags of one'],
  ],
  async run({ settings, words: [repository], flags }) {
    const rows: ListedRow[] = []
    for (let after: string | undefined, more = true; more; more = after !== undefined) {
      const page = await perform(settings, 'ls', {
        ...(repository === undefined ? {} : { repository }),
        ...(after === undefined ? {} : { after }),
      })
      rows.push(...page.rows)
      after = page.next
    }
    if (flags.json) printJson(rows)
    else print(formatTable(rows.map(cells)))
    return 0
  },
})

function cells({ name, digest = '', size, writtenMs }: ListedRow): string[] {
  if (digest === '') return [name]
  return [
    name,
    digest,
    size === undefined ? '' : formatBytes(size),
    writtenMs === undefined ? '' : formatTime(writtenMs),
  ]
}

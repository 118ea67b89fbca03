/** `shoal ls`: the repositories, or the tags of one. */

import { perform } from '../admin/perform.ts'
import { defineCommand, json } from '../command-line/command.ts'
import type { ListedRow } from '../operations/operations.ts'
import { formatAge, formatBytes, formatTable, formatTime, print, printJson } from '../screen/output.ts'

export const command = defineCommand({
  usage: ['ls [REPOSITORY] [--json]'],
  about: `
Lists the repositories with how many tags they have, or the tags of one: what each points to, how large the image is with
all its layers and platforms, how much of it is on this disk, when any of that was last read here by a client or a member,
and when the tag was set. What another member has alone has no size until it was asked for here. shoal du says what fills
this disk.`,
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
        details: true,
        ...(repository === undefined ? {} : { repository }),
        ...(after === undefined ? {} : { after }),
      })
      rows.push(...page.rows)
      after = page.next
    }
    if (flags.json) printJson(rows)
    else if (rows.length > 0) print(listing(rows, { ofTags: repository !== undefined }))
    return 0
  },
})

/** As a table for people. */
export function listing(rows: readonly ListedRow[], { ofTags }: { ofTags: boolean }): string {
  const head = ofTags ? ['TAG', 'DIGEST', 'SIZE', 'HERE', 'LAST READ', 'SET (UTC)'] : ['REPOSITORY', 'TAGS']
  return formatTable([head, ...rows.map(ofTags ? tagCells : repositoryCells)])
}

function repositoryCells({ name, tags, isMore = false }: ListedRow): string[] {
  return [name, tags === undefined ? '' : `${tags}${isMore ? ' and more' : ''}`]
}

function tagCells({ name, digest = '', bytes, hereBytes, unusedMs, writtenMs }: ListedRow): string[] {
  return [
    name,
    digest,
    bytes === undefined ? '-' : formatBytes(bytes),
    hereBytes === undefined ? '-' : formatBytes(hereBytes),
    unusedMs === undefined ? '-' : `${formatAge(unusedMs)} ago`,
    writtenMs === undefined ? '-' : formatTime(writtenMs),
  ]
}

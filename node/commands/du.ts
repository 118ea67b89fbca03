/** `shoal du`: what fills this disk, by repository. */
import { perform } from '../admin/perform.ts'
import { defineCommand, json } from '../command-line/command.ts'
import type { DiskUse } from '../operations/listing.ts'
import { formatBytes, formatCount, formatTable, print, printJson } from '../screen/output.ts'

export const command = defineCommand({
  usage: ['du [--json]'],
  about: `
Says what the blobs of each repository take on this disk, the largest first, and how much of that no other repository has:
so much would go with it. A blob that several repositories have counts for each of them. shoal gc --plan says what may go.`,
  flags: { json },
  maxWords: 0,
  examples: [['du', 'what fills this disk']],
  async run({ settings, flags }) {
    const use = await perform(settings, 'du', {})
    if (flags.json) printJson(use)
    else print(describeUse(use))
    return 0
  },
})

/** In words for people. */
export function describeUse({ repositories, blobs, bytes, looseBytes }: DiskUse): string {
  const loose = looseBytes === 0 ? '' : `, ${formatBytes(looseBytes)} of no repository`
  const head = `${formatCount(blobs, 'blob')}, ${formatBytes(bytes)}${loose}\n`
  if (repositories.length === 0) return head
  const rows = repositories.map((row) => [
    row.repository,
    formatBytes(row.bytes),
    formatBytes(row.ownBytes),
    String(row.blobs),
  ])
  return head + formatTable([['REPOSITORY', 'SIZE', 'ALONE', 'BLOBS'], ...rows])
}

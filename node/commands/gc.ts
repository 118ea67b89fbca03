/** `shoal gc`: removes what nothing refers to. */

import { perform } from '../admin/perform.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { formatBytes, formatCount, print, printJson } from '../screen/output.ts'
import { openProgress } from '../screen/progress.ts'
import { duration, flag } from '../settings/kinds.ts'

export const command = defineCommand({
  usage: ['gc [--dry-run] [--grace TIME] [--untagged TIME] [--json]'],
  about: `
Removes blobs and manifests that no repository needs any more. Pushes and pulls go on meanwhile. A running node does
this by itself, see --gc-interval, --gc-grace and --keep-untagged of shoal serve. Time counts while the node runs.`,
  flags: {
    'dry-run': { kind: flag, help: 'say what would go, remove nothing' },
    grace: {
      kind: duration,
      value: 'TIME',
      help: "spare what was used this recently (default: the node's --gc-grace)",
    },
    untagged: {
      kind: duration,
      value: 'TIME',
      help: "take manifests that had no tag for this long (default: the node's --keep-untagged)",
    },
    json,
  },
  maxWords: 0,
  examples: [
    ['gc --dry-run', 'see what would go'],
    ['gc --grace 1h', 'take also what was left behind an hour ago'],
    ['gc --grace 1h --untagged 0s', 'and what tags that moved have left behind'],
  ],
  async run({ settings, flags }) {
    const dryRun = flags['dry-run']
    using progress = openProgress()
    const report = await perform(
      settings,
      'gc',
      {
        dryRun,
        ...(flags.grace === undefined ? {} : { graceMs: flags.grace }),
        ...(flags.untagged === undefined ? {} : { untaggedMs: flags.untagged }),
      },
      ({ checked, bytes }) => progress.show(`${checked} checked, ${formatBytes(bytes)} found`),
    )
    progress[Symbol.dispose]()
    if (flags.json) printJson(report)
    else {
      const verb = dryRun ? 'would remove' : 'removed'
      const what = `${formatCount(report.blobs, 'blob')} and ${formatCount(report.manifests, 'manifest')}`
      print(`${verb} ${what}: ${formatBytes(report.bytes)}\n`)
    }
    return 0
  },
})

/** `shoal gc`: removes what nothing refers to. */

import type { CollectReport } from '../../src/store/store.ts'
import { perform } from '../admin/perform.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { groupPlanned } from '../operations/planned.ts'
import type { RoomPlan } from '../operations/room.ts'
import type { PlannedGroup } from '../operations/shown.ts'
import { formatBytes, formatCount, formatDuration, formatTable, print, printJson } from '../screen/output.ts'
import { openProgress } from '../screen/progress.ts'
import { duration, flag } from '../settings/kinds.ts'

export const command = defineCommand({
  usage: ['gc [--dry-run | --plan] [--grace TIME] [--untagged TIME] [--json]'],
  about: `
Removes blobs and manifests that no repository needs any more, and with --grace uploads that broke off. Pushes and
pulls go on meanwhile. A running node does this by itself, see --gc-interval, --gc-grace and --keep-untagged of shoal
serve. Time counts while the node runs. With --plan it also says what would go where room is needed (see --max-disk),
in that order, and why.`,
  flags: {
    'dry-run': { kind: flag, help: 'say what would go, remove nothing' },
    plan: { kind: flag, help: 'say also what would go to make room, and why; remove nothing' },
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
    ['gc --plan', 'and what would go to make room'],
    ['gc --grace 1h', 'take also what was left behind an hour ago'],
    ['gc --grace 1h --untagged 0s', 'and what tags that moved have left behind'],
  ],
  async run({ settings, flags }) {
    const dryRun = flags['dry-run']
    const spared = {
      ...(flags.grace === undefined ? {} : { graceMs: flags.grace }),
      ...(flags.untagged === undefined ? {} : { untaggedMs: flags.untagged }),
    }
    using progress = openProgress()
    const onProgress = ({ checked, bytes }: { checked: number; bytes: number }): void =>
      progress.show(`${checked} checked, ${formatBytes(bytes)} found`)
    if (flags.plan) {
      const plan = await perform(settings, 'gc-plan', spared, onProgress)
      progress[Symbol.dispose]()
      if (flags.json) printJson(plan)
      else print(planText(plan))
      return 0
    }
    const report = await perform(settings, 'gc', { dryRun, ...spared }, onProgress)
    progress[Symbol.dispose]()
    if (flags.json) printJson(report)
    else {
      const verb = dryRun ? 'would remove' : 'removed'
      print(`${verb} ${whatWent(report)}\n`)
    }
    return 0
  },
})

function whatWent({ blobs, manifests, bytes, uploads = 0 }: CollectReport & { uploads?: number }): string {
  const broken = uploads === 0 ? '' : `, and ${formatCount(uploads, 'broken upload')}`
  return `${formatCount(blobs, 'blob')} and ${formatCount(manifests, 'manifest')}: ${formatBytes(bytes)}${broken}`
}

/** In words for people. */
export function planText({ limit, garbage, totals, blobs }: RoomPlan): string {
  const bytes = Object.values(totals).reduce((sum, total) => sum + total.bytes, 0)
  const when =
    limit === undefined
      ? 'Where room is needed'
      : `${formatBytes(limit.filledBytes)} of ${formatBytes(limit.maxBytes)} are filled. Above ${formatBytes(limit.highBytes)}`
  const head = `would remove ${whatWent(garbage)}\n${when}, ${formatBytes(bytes)} may go, in this order:\n`
  return blobs.length === 0
    ? head.replace(', in this order:', '.')
    : head + formatTable([columns, ...groupPlanned(blobs).map(cells)])
}

const columns = ['WHY', 'REPOSITORY', 'BLOBS', 'SIZE', 'UNUSED FOR']

function cells({ why, repository = '-', blobs, bytes, unusedMs }: PlannedGroup): string[] {
  return [why, repository, String(blobs), formatBytes(bytes), formatDuration(unusedMs)]
}

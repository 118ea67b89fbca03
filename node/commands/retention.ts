/** `shoal retention`: which tags no retention rule keeps. */
import { perform } from '../admin/perform.ts'
import { calledIn } from '../command-line/called.ts'
import { defineCommand, json } from '../command-line/command.ts'
import type { JudgedTag } from '../retention.ts'
import { formatCount, formatTable, formatTime, print, printJson } from '../screen/output.ts'
import { flag } from '../settings/kinds.ts'
import { UsageError } from '../settings/settings.ts'

export const command = defineCommand({
  usage: ['retention [--json]', 'retention run [--force] [--json]'],
  about: `
Lists the tags that the policy's retention rules do not keep (see shoal policy): the first rule whose pattern matches the
repository decides, and a tag stays that any of its keepTags, keepMatching, keepWithin and keepPulledWithin keeps. Tags that
pulls alone keep are listed as well, and why. Mirrored tags, immutable ones and repositories without a rule are left alone.
Nodes delete such tags by themselves once in --gc-interval, for each repository one of them, while most of the cluster has
been connected for ten minutes. run deletes them now.

Before a tag goes that pulls may keep, every member is asked; while one is away or does not say, it stays, also with
--force.`,
  flags: { force: { kind: flag, help: 'run also while many members are away, or no node runs' }, json },
  actions: ['run'],
  maxWords: 1,
  examples: [
    ['retention', 'see what would go'],
    ['retention run', 'delete it'],
  ],
  async run({ settings, words: [action], flags }) {
    if (action !== undefined && action !== 'run') throw new UsageError(`"${action}" is not run`)
    if (flags.force && action === undefined) throw new UsageError('--force is for retention run alone')
    const dryRun = action === undefined
    const report = await perform(settings, 'retention', { dryRun, force: flags.force })
    const { rules, tags, kept } = report
    if (flags.json) printJson(report)
    else if (rules === 0) print('The policy has no retention rule; see shoal policy --help\n')
    else {
      print(`${dryRun ? 'would delete' : 'deleted'} ${formatCount(tags.length, 'tag')}\n`)
      if (tags.length > 0) print(tableOf(tags))
      if (kept.length > 0) {
        const { inWords } = await calledIn(settings, kept)
        print(`${dryRun ? 'would keep' : 'kept'} ${formatCount(kept.length, 'tag')} for pulls\n`)
        print(inWords(tableOf(kept)))
      }
    }
    return 0
  },
})

function tableOf(tags: readonly JudgedTag[]): string {
  const rows = tags.map(({ repository, tag, writtenMs, rule, why }) => [
    repository,
    tag,
    formatTime(writtenMs),
    rule,
    why,
  ])
  return formatTable([['REPOSITORY', 'TAG', 'WRITTEN (UTC)', 'RULE', 'WHY'], ...rows])
}

/** `shoal keep`: the rules that say what this node holds, always. */

import { perform } from '../admin/perform.ts'
import { defineCommand, json, platform, usageLines } from '../command-line/command.ts'
import type { ListedRule, ShownRule } from '../operations/keep.ts'
import { formatAge, formatBytes, formatTable, print, printJson } from '../screen/output.ts'
import { openProgress } from '../screen/progress.ts'
import { flag, text } from '../settings/kinds.ts'
import { type Settings, UsageError } from '../settings/settings.ts'

const usage = [
  'keep add PATTERN [--tags PATTERN] [--platform OS/ARCH]... [--site] [--json]',
  'keep ls [--json]',
  'keep rm ID|PATTERN [--json]',
]

export const command = defineCommand({
  usage,
  about: `
A keep rule makes this node hold every image that matches, always: those that exist are fetched when the rule is
added, new ones when their tag arrives, with all they consist of and everything that refers to them (signatures, SBOMs).
In a pattern, * stands for any text without /, and ** for any text.

ls shows for each rule how many images match, how many are complete here, what is missing and for how long.
rm ends a rule; what it brought here stays until it is deleted.`,
  flags: {
    tags: { kind: text, value: 'PATTERN', help: 'only tags that match (default: all)' },
    platform,
    site: {
      kind: flag,
      help: "share its images with the nodes of this one's site (serve --site NAME) that have the rule: each is held by one",
    },
    json,
  },
  actions: ['add', 'ls', 'rm'],
  maxWords: 2,
  examples: [
    ["keep add 'apps/*'", 'hold whatever is directly under apps/'],
    ["keep add 'apps/**' --tags 'v*' --platform linux/arm64", 'releases alone, for one platform'],
    ['keep ls', 'is everything here?'],
  ],
  async run({ settings, words: [action, subject], flags }) {
    if (action === 'ls' && subject === undefined) return await list(settings, flags.json)
    if (action !== undefined && !['add', 'ls', 'rm'].includes(action)) {
      throw new UsageError(`"${action}" is not add, ls or rm`)
    }
    if (subject === undefined || action === 'ls')
      throw new UsageError(`expected: ${usageLines(usage, action)}`)
    if (action === 'add') {
      const tags = flags.tags === undefined ? {} : { tags: flags.tags }
      const platforms = flags.platform.length === 0 ? {} : { platforms: flags.platform }
      const shared = flags.site ? { isShared: true } : {}
      const rule = await perform(settings, 'keep-add', {
        repositories: subject,
        ...tags,
        ...platforms,
        ...shared,
      })
      if (flags.json) printJson(rule)
      else print(`keeping ${describe(rule)} (rule ${rule.id})\n`)
    } else {
      const { removed } = await perform(settings, 'keep-rm', { rule: subject })
      if (flags.json) printJson(removed)
      else for (const rule of removed) print(`no longer keeping ${describe(rule)}\n`)
    }
    return 0
  },
})

async function list(settings: Settings, asJson: boolean): Promise<number> {
  using progress = openProgress()
  const { rules } = await perform(settings, 'keep-ls', {}, ({ images }) =>
    progress.show(`${images} images looked through`),
  )
  progress[Symbol.dispose]()
  if (asJson) printJson(rules)
  else if (rules.length === 0) print("No keep rule. Make one with: shoal keep add 'apps/*'\n")
  else print(render(rules))
  return 0
}

function render(rules: ListedRule[]): string {
  const head = ['ID', 'REPOSITORIES', 'TAGS', 'PLATFORMS', 'HELD BY', 'COMPLETE', 'MISSING', 'FOR']
  const rows = rules.map((rule) => {
    const { id, repositories, tags = '*', platforms = [], isShared, images, others, complete } = rule
    const ours = images - others
    return [
      id,
      repositories,
      tags,
      platforms.length === 0 ? 'all' : platforms.join(','),
      isShared ? 'its site' : 'this node',
      `${complete} of ${ours}${others === 0 ? '' : `, ${others} by others`}`,
      complete === ours ? '-' : `${ours - complete} (${formatBytes(rule.missingBytes)} known of)`,
      rule.missingSinceMs === undefined ? '-' : formatAge(Date.now() - rule.missingSinceMs),
    ]
  })
  const lines = rules
    .flatMap(({ missing }) => missing)
    .map(
      ({ name, parts, sinceMs }) =>
        `missing: ${name}  ${parts} parts, for ${formatAge(Date.now() - sinceMs)}\n`,
    )
  return `${formatTable([head, ...rows])}${lines.join('')}`
}

function describe({ repositories, tags, platforms = [], isShared }: ShownRule): string {
  const of = platforms.length === 0 ? '' : ` for ${platforms.join(', ')}`
  const among = isShared ? ', shared with its site' : ''
  return `${repositories}${tags === undefined ? '' : `:${tags}`}${of}${among}`
}

/** `shoal keep`: the rules that say what this node holds, always. */
import type { Command } from '../cli.ts'
import type { ListedRule, ShownRule } from '../operations/keep.ts'
import { formatAge, formatBytes, formatTable, print, printJson, printProgress } from '../output.ts'
import { perform } from '../perform.ts'
import { readSettings, type Settings, settingsHelp, UsageError } from '../settings.ts'

export const command: Command = {
  help: `shoal keep add PATTERN [--tags PATTERN] [--platform OS/ARCH]... [--site]
shoal keep ls [--json]
shoal keep rm ID|PATTERN

A keep rule makes this node hold every image that matches, always: those that exist are fetched when the rule is
added, new ones when their tag arrives, with all they consist of and everything that refers to them (signatures, SBOMs).
In a pattern, * stands for any text without /, and ** for any text.

  shoal keep add 'apps/*'
  shoal keep add 'apps/**' --tags 'v*' --platform linux/arm64

ls shows for each rule how many images match, how many are complete here, what is missing and for how long.
rm ends a rule; what it brought here stays until it is deleted.

  --tags PATTERN          only tags that match (default: all)
  --platform OS/ARCH      of images for several platforms only this one; may be given several times
  --site                  the nodes of this one's site (serve --site NAME) that have the rule share its images: each is
                          held by one of them
  --json                  print JSON
${settingsHelp(['data'])}
`,
  async run(args) {
    const flags = {
      tags: { type: 'string' },
      platform: { type: 'string', multiple: true },
      site: { type: 'boolean' },
      json: { type: 'boolean' },
    } as const
    const { settings, rest, extra } = readSettings(args, process.env, flags)
    const [action, subject, surplus] = rest
    if (surplus !== undefined)
      throw new UsageError(`keep takes one pattern at a time; "${surplus}" is too many`)
    if (action === 'ls' && subject === undefined) return await list(settings, extra.json === true)
    if (subject === undefined) throw new UsageError('keep needs add PATTERN, ls, or rm ID|PATTERN')
    if (action === 'add') {
      const tags = extra.tags === undefined ? {} : { tags: extra.tags }
      const platforms = extra.platform === undefined ? {} : { platforms: extra.platform }
      const shared = extra.site === true ? { isShared: true } : {}
      const rule = await perform(settings, 'keep-add', {
        repositories: subject,
        ...tags,
        ...platforms,
        ...shared,
      })
      if (extra.json === true) printJson(rule)
      else print(`keeping ${describe(rule)} (rule ${rule.id})\n`)
    } else if (action === 'rm') {
      const { removed } = await perform(settings, 'keep-rm', { rule: subject })
      if (extra.json === true) printJson(removed)
      else for (const rule of removed) print(`no longer keeping ${describe(rule)}\n`)
    } else throw new UsageError(`"${action}" is not add, ls or rm`)
    return 0
  },
}

async function list(settings: Settings, asJson: boolean): Promise<number> {
  const { rules } = await perform(settings, 'keep-ls', {}, ({ images }) => {
    printProgress(`${images} images looked through`)
  })
  printProgress('')
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

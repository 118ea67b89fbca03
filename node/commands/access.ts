/** `shoal access`: what somebody may do, and by which rule. */
import { perform } from '../admin/perform.ts'
import { defineCommand, json, usageLines } from '../command-line/command.ts'
import { print, printJson } from '../screen/output.ts'
import { UsageError } from '../settings/settings.ts'

const usage = ['access explain WHO REPOSITORY [--json]']

export const command = defineCommand({
  usage,
  about: `
Says what WHO may do with a repository by the policy's access rules, and which of them decides. WHO is the name of an
account, or what a rule can name: user:NAME, robot:NAME, group:NAME, anyone (who signed in) or anonymous.

Rules are in the policy (shoal policy set):
  "access": [
    { "repositories": "team/**", "who": ["group:developers", "robot:deploy"], "may": ["pull", "push"] },
    { "repositories": "docker.io/**", "who": ["anonymous"], "may": ["pull"] }
  ]
May is any of pull, push, delete and, for "**" alone, admin, which lets accounts be changed on the page, and members, which
lets hosts be approved, named, forgotten and invited there.
The first rule that matches the repository and who asks decides; what none permits is refused. Who signed in and is named
by no rule for a repository has there what anonymous has. Without rules everybody may everything.`,
  flags: { json },
  actions: ['explain'],
  maxWords: 3,
  examples: [
    ['access explain ann team/app', 'what Ann may do there'],
    ['access explain anonymous docker.io/library/alpine', 'what needs no account'],
  ],
  async run({ settings, words: [action, who, repository], flags }) {
    if (action !== undefined && action !== 'explain') throw new UsageError(`"${action}" is not explain`)
    if (action === undefined || who === undefined || repository === undefined)
      throw new UsageError(`expected: ${usageLines(usage, action)}`)
    const explained = await perform(settings, 'access-explain', { who, repository })
    if (flags.json) printJson(explained)
    else {
      const may = explained.may.length === 0 ? 'nothing' : explained.may.join(', ')
      print(`${who} may ${may} in ${repository}: ${explained.why}\n`)
    }
    return 0
  },
})

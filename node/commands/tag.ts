/** `shoal tag`: another name for an image. */

import { perform } from '../admin/perform.ts'
import { defineCommand, json, usageLines } from '../command-line/command.ts'
import { formatCount, print, printJson } from '../screen/output.ts'
import { openProgress } from '../screen/progress.ts'
import { flag } from '../settings/kinds.ts'
import { UsageError } from '../settings/settings.ts'

const usage = ['tag SOURCE[:TAG|@DIGEST] TARGET[:TAG] [--as-authority] [--json]']

export const command = defineCommand({
  usage,
  about: `
Gives an image of the cluster another name; without a tag a name means latest. A name in the same repository is one
record. For another repository this node fetches what it lacks of the image, as that repository's first holder.`,
  flags: {
    'as-authority': {
      kind: flag,
      help: "sign with the cluster's authority key, which may move what is immutable",
    },
    json,
  },
  maxWords: 2,
  examples: [
    ['tag team/app:1.4.2 team/app:stable', 'move stable'],
    ['tag team/app:1.4.2 prod/app:1.4.2', 'promote it to another repository'],
    ['tag team/app@sha256:… team/app:rollback', 'name a digest'],
  ],
  async run({ settings, words: [source, target], flags }) {
    if (source === undefined || target === undefined) throw new UsageError(`expected: ${usageLines(usage)}`)
    using progress = openProgress()
    const params = { source, target, asAuthority: flags['as-authority'] }
    const tagged = await perform(settings, 'tag', params, ({ mounted }) =>
      progress.show(`${formatCount(mounted, 'blob')} there`),
    )
    progress[Symbol.dispose]()
    const { repository, tag, digest, before } = tagged
    if (flags.json) printJson(tagged)
    else print(`${repository}:${tag} is ${digest}${before === undefined ? '' : `, was ${before}`}\n`)
    return 0
  },
})

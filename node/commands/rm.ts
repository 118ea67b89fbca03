/** `shoal rm`: removes a tag, an image or a repository from the cluster. */
import { createInterface } from 'node:readline/promises'
import { perform } from '../admin/perform.ts'
import { defineCommand, json, usageLines } from '../command-line/command.ts'
import type { RemovedImage } from '../operations/remove.ts'
import { formatCount, print, printJson } from '../screen/output.ts'
import { flag } from '../settings/kinds.ts'
import { UsageError } from '../settings/settings.ts'

const usage = ['rm IMAGE:TAG|IMAGE@DIGEST [--yes] [--dry-run] [--json]', 'rm REPOSITORY --all [--yes]']

/** As many tags as are named before the question; the rest are counted. */
const maxNamed = 10

export const command = defineCommand({
  usage,
  about: `
Removes a tag, on every node of the cluster. With the last tag of an image goes the image: its manifest, the platforms that
only it lists, and the signatures and the like that refer to it. @DIGEST removes the image with all its tags. The bytes
follow when the collector finds them unused (shoal gc). Asks before it does; --yes is needed where nobody can answer.`,
  flags: {
    all: { kind: flag, help: 'remove everything in the repository' },
    yes: { kind: flag, help: 'do not ask' },
    'dry-run': { kind: flag, help: 'say what would go, remove nothing' },
    'as-authority': {
      kind: flag,
      help: "sign with the cluster's authority key, which may remove what is immutable",
    },
    json,
  },
  maxWords: 1,
  examples: [
    ['rm team/app:1', 'remove a tag, and the image if it was its last'],
    ['rm team/app --all --dry-run', 'see what a repository holds'],
    ['rm team/app@sha256:… --yes', 'remove an image in a script'],
  ],
  async run({ settings, words: [image], flags }) {
    if (image === undefined) throw new UsageError(`expected: ${usageLines(usage)}`)
    const dryRun = flags['dry-run']
    const asks = !flags.yes && !dryRun
    if (asks && (flags.json || !process.stdin.isTTY)) {
      throw new UsageError(
        `rm asks before it removes, and ${flags.json ? 'not with --json' : 'nobody is here to answer'}; give --yes (or --dry-run)`,
      )
    }
    const params = { image, whole: flags.all, dryRun: dryRun || asks, asAuthority: flags['as-authority'] }
    let removed = await perform(settings, 'remove', params)
    if (asks) {
      if (!(await confirm(describe(removed)))) {
        process.stderr.write('nothing was removed\n')
        return 1
      }
      removed = await perform(settings, 'remove', { ...params, dryRun: false })
    }
    if (flags.json) printJson(removed)
    else print(`${dryRun ? 'would remove' : 'removed'} ${describe(removed)}\n`)
    return 0
  },
})

function describe({ repository, tags, manifests }: RemovedImage): string {
  const named = tags.slice(0, maxNamed).map((tag) => `${repository}:${tag}`)
  const others = tags.length - named.length
  const tagWords = others > 0 ? [...named, `${formatCount(others, 'other tag')}`] : named
  const images = manifests.length === 0 ? [] : [formatCount(manifests.length, 'manifest')]
  const words = [...tagWords, ...images]
  return words.length === 0 ? `nothing of ${repository}` : words.join(', ')
}

async function confirm(what: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await terminal.question(`Remove ${what}? [y/N] `)).trim())
  } finally {
    terminal.close()
  }
}

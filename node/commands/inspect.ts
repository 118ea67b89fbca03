/** `shoal inspect`: what an image consists of, and who published it. */

import { perform } from '../admin/perform.ts'
import { calledIn } from '../command-line/called.ts'
import { defineCommand, json, usageLines } from '../command-line/command.ts'
import { renderImage } from '../screen/image-screen.ts'
import { print, printJson } from '../screen/output.ts'
import { flag } from '../settings/kinds.ts'
import { UsageError } from '../settings/settings.ts'

const usage = ['inspect IMAGE[:TAG|@DIGEST] [--members] [--json]']

export const command = defineCommand({
  usage,
  about: `
Shows an image's manifest, its platforms, its config (of the environment the names alone), its layers with how each was
made, what refers to it, and who published it when. Layers are not brought here for that. Without a tag it is latest.`,
  flags: {
    members: { kind: flag, help: 'ask the members which of them hold it' },
    json,
  },
  maxWords: 1,
  examples: [
    ['inspect team/app:1', 'what is in it?'],
    ['inspect localhost:5000/team/app:1 --members', 'and who has it?'],
  ],
  async run({ settings, words: [image], flags }) {
    if (image === undefined) throw new UsageError(`expected: ${usageLines(usage)}`)
    const details = await perform(settings, 'inspect', { image, holders: flags.members })
    if (flags.json) printJson(details)
    else print(renderImage(details, await calledIn(settings, details)))
    return 0
  },
})

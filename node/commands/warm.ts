/** `shoal warm`: fetches images now. */

import { perform } from '../admin/perform.ts'
import { defineCommand, json, platform } from '../command-line/command.ts'
import { formatBytes, print } from '../screen/output.ts'
import { openTransferBoard } from '../screen/transfer-board.ts'
import { UsageError } from '../settings/settings.ts'

export const command = defineCommand({
  usage: ['warm IMAGE... [--platform OS/ARCH]... [--json]'],
  about: `
Fetches images now, with all they consist of and everything that refers to them, so that the next pull finds them
here. An IMAGE is REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST. Exits with 1 and names what is missing when
something could not be had. With --json each event, and then the result, is a line.`,
  flags: {
    platform,
    json,
  },
  maxWords: Number.POSITIVE_INFINITY,
  examples: [
    ['warm team/app:1', 'before the machines need it'],
    ['warm team/app docker.io/library/alpine:3.20 --platform linux/arm64', ''],
  ],
  async run({ settings, words: images, flags }) {
    if (images.length === 0) throw new UsageError('warm needs at least one image, such as team/app:1')
    const params = { images, ...(flags.platform.length === 0 ? {} : { platforms: flags.platform }) }
    const printLine = (value: unknown): void => print(`${JSON.stringify(value)}\n`)
    using board = flags.json ? undefined : openTransferBoard(process.stderr)
    const result = await perform(settings, 'warm', params, (event) => {
      if (board === undefined) printLine(event)
      else board.show(event)
    })
    board?.close()
    const missing = result.images.flatMap((image) => image.missing)
    if (board === undefined) printLine({ type: 'result', ...result })
    else {
      for (const { image, parts, bytes } of result.images.filter((each) => each.missing.length === 0))
        print(`${image} is here: ${parts} parts, ${formatBytes(bytes)}\n`)
      for (const line of missing) process.stderr.write(`missing: ${line}\n`)
    }
    return missing.length === 0 ? 0 : 1
  },
})

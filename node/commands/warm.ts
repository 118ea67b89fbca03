/** `shoal warm`: fetches images now. */
import type { Command } from '../cli.ts'
import { formatBytes, print } from '../output.ts'
import { perform } from '../perform.ts'
import { readSettings, settingsHelp, UsageError } from '../settings.ts'
import { openTransferBoard } from '../transfer-board.ts'

export const command: Command = {
  help: `shoal warm IMAGE... [--platform OS/ARCH]... [--json]

Fetches images now, with all they consist of and everything that refers to them, so that the next pull finds them
here. An IMAGE is REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST. Exits with 1 and names what is missing when
something could not be had.

  --platform OS/ARCH      of images for several platforms only this one; may be given several times
  --json                  print each event and then the result as one line of JSON
${settingsHelp(['data'])}
`,
  async run(args) {
    const flags = { platform: { type: 'string', multiple: true }, json: { type: 'boolean' } } as const
    const { settings, rest: images, extra } = readSettings(args, process.env, flags)
    if (images.length === 0) throw new UsageError('warm needs at least one image, such as team/app:1')
    const params = { images, ...(extra.platform === undefined ? {} : { platforms: extra.platform }) }
    const printLine = (value: unknown): void => print(`${JSON.stringify(value)}\n`)
    using board = extra.json === true ? undefined : openTransferBoard(process.stderr)
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
}

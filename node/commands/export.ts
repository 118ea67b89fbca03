/** `shoal export`: writes images to a folder or a tar file. */
import { exportImages } from '../archives/exporter.ts'
import type { Command } from '../cli.ts'
import { contentClient } from '../content-client.ts'
import { formatBytes, print, printJson } from '../output.ts'
import { openReachableNode } from '../reachable-node.ts'
import { readSettings, settingsHelp, UsageError } from '../settings.ts'
import { openTransferBoard } from '../transfer-board.ts'

export const command: Command = {
  help: `shoal export IMAGE... -o FOLDER|FILE.tar [--platform OS/ARCH]... [--json]

Writes images, with all they consist of and everything that refers to them, as an OCI image layout: into a folder, or
into a tar file when the name ends with .tar. What is not on this node is fetched first. The signed records go along, so
that shoal import elsewhere keeps who published a tag and when. A folder can be exported into again: what is in it
already is not written twice.

  skopeo copy oci:FOLDER:TAG ...       and    skopeo copy oci-archive:FILE.tar:TAG ...    read it, and so does oras.

  -o, --output PATH       where to write
  --platform OS/ARCH      of images for several platforms only this one; may be given several times
  --json                  print the report as JSON
${settingsHelp(['data'])}
`,
  async run(args) {
    const flags = {
      output: { type: 'string', short: 'o' },
      platform: { type: 'string', multiple: true },
      json: { type: 'boolean' },
    } as const
    const { settings, rest: images, extra } = readSettings(args, process.env, flags)
    if (images.length === 0) throw new UsageError('export needs at least one image, such as team/app:1')
    if (extra.output === undefined) throw new UsageError('export needs -o FOLDER or -o FILE.tar')
    await using _node = await openReachableNode(settings)
    using board = openTransferBoard(process.stderr)
    const report = await exportImages({
      settings,
      content: contentClient(settings.data),
      images,
      platforms: extra.platform,
      output: extra.output,
      onEvent: (event) => board.show(event),
    })
    board.close()
    if (extra.json === true) printJson(report)
    else {
      const skipped = report.skipped === 0 ? '' : `, ${report.skipped} of them were there already`
      print(`${extra.output}: ${report.blobs} blobs, ${formatBytes(report.bytes)}${skipped}\n`)
    }
    return 0
  },
}

/** `shoal export`: writes images to a folder or a tar file. */

import { contentClient } from '../admin/content-client.ts'
import { openReachableNode } from '../admin/reachable-node.ts'
import { exportImages } from '../archives/exporter.ts'
import { defineCommand, json, platform } from '../command-line/command.ts'
import { formatBytes, print, printJson } from '../screen/output.ts'
import { openTransferBoard } from '../screen/transfer-board.ts'
import { path } from '../settings/kinds.ts'
import { UsageError } from '../settings/settings.ts'

export const command = defineCommand({
  usage: ['export IMAGE... -o FOLDER|FILE.tar [--platform OS/ARCH]... [--json]'],
  about: `
Writes images, with all they consist of and everything that refers to them, as an OCI image layout: into a folder, or
into a tar file when the name ends with .tar. What is not on this node is fetched first. The signed records go along, so
that shoal import elsewhere keeps who published a tag and when. A folder can be exported into again: what is in it
already is not written twice.

  skopeo copy oci:FOLDER:TAG ...       and    skopeo copy oci-archive:FILE.tar:TAG ...    read it, and so does oras.`,
  flags: {
    output: { kind: path, value: 'PATH', help: 'where to write', short: 'o' },
    platform,
    json,
  },
  maxWords: Number.POSITIVE_INFINITY,
  examples: [
    ['export team/app:1 -o /media/usb/images', 'into a folder'],
    ['export team/app:1 team/db:2 -o images.tar', 'into one file'],
  ],
  async run({ settings, words: images, flags }) {
    const { output } = flags
    if (images.length === 0) throw new UsageError('export needs at least one image, such as team/app:1')
    if (output === undefined) throw new UsageError('export needs -o FOLDER or -o FILE.tar')
    await using _node = await openReachableNode(settings)
    using board = openTransferBoard(process.stderr)
    const report = await exportImages({
      settings,
      content: contentClient(settings.data),
      images,
      platforms: flags.platform.length === 0 ? undefined : flags.platform,
      output,
      onEvent: (event) => board.show(event),
    })
    board.close()
    if (flags.json) printJson(report)
    else {
      const skipped = report.skipped === 0 ? '' : `, ${report.skipped} of them were there already`
      print(`${output}: ${report.blobs} blobs, ${formatBytes(report.bytes)}${skipped}\n`)
    }
    return 0
  },
})

/** `shoal verify`: hashes everything that is stored again. */

import { perform } from '../admin/perform.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { formatBytes, formatCount, print, printJson } from '../screen/output.ts'
import { openProgress } from '../screen/progress.ts'

export const command = defineCommand({
  usage: ['verify [--json]'],
  about: `
Hashes every blob and manifest again. What does not match its digest is moved to quarantine/ in the data directory, so
that it is never served; a running node brings another copy from a member. Exits 1 when something was
wrong, or could not be read, which alone moves nothing.`,
  flags: { json },
  maxWords: 0,
  examples: [['verify', 'look through everything']],
  async run({ settings, flags }) {
    using progress = openProgress()
    const report = await perform(settings, 'verify', {}, ({ blobs, manifests, bytes, totalBytes }) => {
      const words = `${blobs} blobs, ${manifests} manifests, ${formatBytes(bytes)}`
      progress.show(words, totalBytes === 0 ? 1 : bytes / totalBytes)
    })
    progress[Symbol.dispose]()
    const isWhole = report.corrupt.length + report.unreadable.length === 0
    if (flags.json) printJson(report)
    else {
      for (const { digest, path } of report.corrupt) print(`wrong: ${digest}, now at ${path}\n`)
      for (const digest of report.unreadable) print(`cannot be read: ${digest}; the node's log says why\n`)
      const outcome = isWhole ? 'all whole' : `${report.corrupt.length} wrong`
      const what = `${formatCount(report.blobs, 'blob')} and ${formatCount(report.manifests, 'manifest')}`
      print(`${what}, ${formatBytes(report.bytes)}: ${outcome}\n`)
    }
    return isWhole ? 0 : 1
  },
})

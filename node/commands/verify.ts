/** `shoal verify`: hashes everything that is stored again. */
import type { Command } from '../cli.ts'
import { formatBytes, print, printJson, printProgress } from '../output.ts'
import { perform } from '../perform.ts'
import { readSettings, settingsHelp } from '../settings.ts'

export const command: Command = {
  help: `shoal verify [--json]

Hashes every blob and manifest again. What does not match its digest is moved to quarantine/ in the data directory, so that
it is never served. Exits 1 when something was wrong.

  --json                  print the report as JSON
${settingsHelp(['data'])}
`,
  async run(args) {
    const { settings, extra } = readSettings(args, process.env, { json: { type: 'boolean' } })
    const report = await perform(settings, 'verify', {}, ({ blobs, manifests, bytes }) => {
      printProgress(`${blobs} blobs, ${manifests} manifests, ${formatBytes(bytes)}`)
    })
    printProgress('')
    if (extra.json === true) printJson(report)
    else {
      for (const { digest, path } of report.corrupt) print(`wrong: ${digest}, now at ${path}\n`)
      const outcome = report.corrupt.length === 0 ? 'all whole' : `${report.corrupt.length} wrong`
      print(
        `${report.blobs} blobs and ${report.manifests} manifests, ${formatBytes(report.bytes)}: ${outcome}\n`,
      )
    }
    return report.corrupt.length === 0 ? 0 : 1
  },
}

/** `shoal gc`: removes what nothing refers to. */
import type { Command } from '../cli.ts'
import { formatBytes, print, printJson } from '../output.ts'
import { perform } from '../perform.ts'
import { duration } from '../setting-kinds.ts'
import { readFlag, readSettings, settingsHelp } from '../settings.ts'

export const command: Command = {
  help: `shoal gc [--dry-run] [--grace TIME] [--json]

Removes blobs and manifests that no repository needs any more. Pushes and pulls go on meanwhile.

  --dry-run               say what would go, remove nothing
  --grace TIME            spare what was used this recently (default: the node's --gc-grace)
  --json                  print the report as JSON
${settingsHelp(['data'])}
`,
  async run(args) {
    const flags = {
      'dry-run': { type: 'boolean' },
      grace: { type: 'string' },
      json: { type: 'boolean' },
    } as const
    const { settings, extra } = readSettings(args, process.env, flags)
    const dryRun = extra['dry-run'] === true
    const graceMs = readFlag(duration, 'grace', extra.grace)
    const report = await perform(settings, 'gc', { dryRun, ...(graceMs === undefined ? {} : { graceMs }) })
    if (extra.json === true) printJson(report)
    else {
      const verb = dryRun ? 'would remove' : 'removed'
      print(`${verb} ${report.blobs} blobs and ${report.manifests} manifests: ${formatBytes(report.bytes)}\n`)
    }
    return 0
  },
}

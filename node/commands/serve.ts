/** `shoal serve`: runs the node until it is told to stop. */
import type { Command } from '../cli.ts'
import { createLogger } from '../logger.ts'
import { readSettings, settingsHelp, UsageError } from '../settings.ts'

export const command: Command = {
  help: `shoal serve [flags]

Runs the node of this host. Each flag is also an environment variable (--log-level: SHOAL_LOG_LEVEL) and a key of
the config file.

${settingsHelp()}

The first node starts a cluster; every other one joins it:
  shoal serve
  shoal serve --join "$(ssh first-host shoal token)"
`,
  async run(args) {
    const { settings, rest } = readSettings(args, process.env)
    if (rest.length > 0) throw new UsageError(`serve takes flags only; "${rest[0]}" is none`)
    const { openDaemon } = await import('../daemon.ts')
    const stopped = untilSignal()
    const daemon = await openDaemon(settings, createLogger(settings['log-level']))
    process.stdout.write(
      `shoal is ready: registry http://${daemon.httpAddress}, peers ${daemon.p2pAddress}\n`,
    )
    await stopped
    await daemon[Symbol.asyncDispose]()
    return 0
  },
}

/** The first SIGTERM or SIGINT starts an orderly stop; a second one ends the process as usual. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      process.off('SIGTERM', stop).off('SIGINT', stop)
      resolve()
    }
    process.once('SIGTERM', stop).once('SIGINT', stop)
  })
}

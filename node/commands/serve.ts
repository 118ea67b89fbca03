/** `shoal serve`: runs the node until it is told to stop. */
import { flushCompileCache } from 'node:module'
import { setTimeout } from 'node:timers/promises'
import type { Command } from '../cli.ts'
import { openHttpPort } from '../http-port.ts'
import { readSettings, settingsHelp, UsageError } from '../settings.ts'

const firstAnswersMs = 15

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
    const stopped = untilSignal()
    await using port = await openHttpPort(settings.http)
    // Whoever tries every few milliseconds is answered before loading the rest holds the event loop.
    await setTimeout(firstAnswersMs)
    const { createLogger } = await import('../logger.ts')
    const { openDaemon } = await import('../daemon.ts')
    const daemon = await openDaemon(
      settings,
      port,
      createLogger(settings['log-level'], { format: settings['log-format'] }),
    )
    process.stdout.write(`shoal is ready: registry http://${port.address}, peers ${daemon.p2pAddress}\n`)
    // Not left to the end: a node that is killed would compile everything anew.
    flushCompileCache()
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

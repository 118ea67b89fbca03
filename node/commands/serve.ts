/** `shoal serve`: runs the node until it is told to stop. */
import { flushCompileCache } from 'node:module'
import { setTimeout } from 'node:timers/promises'
import { CodedError } from '../../src/base/base.ts'
import { findAnswerer } from '../admin/client.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { openHttpPort } from '../http-port.ts'
import { allSettings, type Settings, speaksTls } from '../settings/settings.ts'

const firstAnswersMs = 15
const lookAgainMs = 200

export const command = defineCommand({
  usage: ['serve [flags]'],
  about: `
Runs the node of this host. Each flag is also an environment variable (--log-level: SHOAL_LOG_LEVEL) and a key of
the config file. With --json the line that says that it is ready is JSON.

The first node starts a cluster; every other one joins it.`,
  flags: { json },
  settings: allSettings,
  maxWords: 0,
  examples: [
    ['serve', 'start the first node'],
    ['serve --join "$(ssh host-a shoal token)"', 'join its cluster'],
    ['serve --http 0.0.0.0:5000 --tls self', 'serve other hosts, too, by the access rules of the policy'],
  ],
  async run({ settings, flags }) {
    const stopped = untilSignal()
    // Before the port, which that node has as well: it would be blamed.
    if (!(await untilNoCommandHasIt(settings, stopped))) return 0
    await using port = await openHttpPort(
      settings.http,
      speaksTls(settings) ? { tls: { plainOnLoopback: settings['plain-loopback'] } } : {},
    )
    // Whoever tries every few milliseconds is answered before loading the rest holds the event loop.
    await setTimeout(firstAnswersMs)
    const { createLogger } = await import('../logger.ts')
    const { openDaemon } = await import('../daemon.ts')
    const daemon = await openDaemon(
      settings,
      port,
      createLogger(settings['log-level'], { format: settings['log-format'] }),
    )
    const addresses = { http: port.address, p2p: daemon.p2pAddress }
    process.stdout.write(
      flags.json
        ? `${JSON.stringify(addresses)}\n`
        : `shoal is ready: registry ${port.scheme}://${addresses.http}, peers ${addresses.p2p}\n`,
    )
    // Not left to the end: a node that is killed would compile everything anew.
    flushCompileCache()
    await stopped
    await daemon[Symbol.asyncDispose]()
    return 0
  },
})

/** An import to a stopped node takes its time. False when the stop came first. */
async function untilNoCommandHasIt(settings: Settings, stopped: Promise<void>): Promise<boolean> {
  const { data } = settings
  let isStopped = false
  for (let looks = 0; !isStopped; looks++) {
    const answerer = await findAnswerer(data)
    if (answerer === undefined) return true
    if (answerer === 'node') throw new AlreadyRunningError(data)
    if (looks === 0) {
      const { createLogger } = await import('../logger.ts')
      createLogger(settings['log-level'], { format: settings['log-format'] }).info(
        { data },
        'a command of shoal has the data directory; the node starts when that is done',
      )
    }
    isStopped = await Promise.race([setTimeout(lookAgainMs, false), stopped.then(() => true)])
  }
  return false
}

/** Two nodes would be one identity, and have one database. */
class AlreadyRunningError extends CodedError {
  readonly code = 'ALREADY_RUNNING'

  constructor(directory: string) {
    super(
      `a node already runs on ${directory}; stop it first, or give this one a directory of its own with --data DIR`,
    )
  }
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

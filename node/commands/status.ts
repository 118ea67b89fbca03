/** `shoal status`: the node, its cluster, its disk and what moves, on one screen. */
import { setTimeout } from 'node:timers/promises'
import { callRunningNode } from '../admin/client.ts'
import { perform } from '../admin/perform.ts'
import { defineCommand, json } from '../command-line/command.ts'
import type { NodeStatus } from '../operations/status.ts'
import { print, printJson } from '../screen/output.ts'
import { ratesBetween, renderStatus } from '../screen/status-screen.ts'
import { flag } from '../settings/kinds.ts'
import type { Settings } from '../settings/settings.ts'

/** Between two looks: long enough to tell a rate, short enough not to be waited for. */
const rateMs = 500
const watchMs = 1_000

export const command = defineCommand({
  usage: ['status [--watch] [--json]'],
  about: `
Shows this node, the cluster as it sees it, its disk, what moves now and what is wrong, on one screen. Exits 1 when no
node runs on the data directory; what is known without one is shown all the same.`,
  flags: {
    watch: { kind: flag, help: 'show it anew every second until interrupted; with --json a line each' },
    json,
  },
  maxWords: 0,
  examples: [
    ['status', 'how is it?'],
    ['status --watch', 'watch a pull'],
    ['status --json', 'the same for a program'],
  ],
  async run({ settings, flags }) {
    if (flags.watch) return await watch(settings.data, flags.json)
    const status = await perform(settings, 'status', {})
    if (flags.json) printJson(status)
    else {
      const later = status.transfers.length === 0 ? undefined : await lookAgain(settings)
      print(renderStatus(later ?? status, later && ratesBetween(status, later), screen()))
    }
    return status.running === undefined ? 1 : 0
  },
})

/** What moves is told by two looks. */
async function lookAgain(settings: Settings): Promise<NodeStatus> {
  await setTimeout(rateMs)
  return await perform(settings, 'status', {})
}

/** Until it is interrupted. A node that stops is waited for. */
async function watch(data: string, asJson: boolean): Promise<number> {
  const interrupted = new AbortController()
  const { signal } = interrupted
  const stop = (): void => interrupted.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  let before: NodeStatus | undefined
  while (!signal.aborted) {
    const answer = await callRunningNode(data, 'status', {}, () => undefined)
    const status = answer?.result as NodeStatus | undefined
    if (asJson) print(`${JSON.stringify(status ?? null)}\n`)
    else if (status === undefined) redraw(`No node runs on ${data}. Waiting for one.\n`)
    else redraw(renderStatus(status, before && ratesBetween(before, status), screen()))
    before = status
    await setTimeout(watchMs, undefined, { signal }).catch(unlessAborted)
  }
  return 0
}

function unlessAborted(error: unknown): void {
  if (!(error instanceof Error && error.name === 'AbortError')) throw error
}

/** Over what was there, line by line, so that nothing flickers. */
function redraw(text: string): void {
  if (process.stdout.isTTY) print(`\u001b[H${text.replaceAll('\n', '\u001b[K\n')}\u001b[J`)
  else print(`${text}\n`)
}

function screen(): { columns: number; rows: number } {
  return { columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 }
}

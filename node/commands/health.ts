/** `shoal health`: whether this host's node answers, for supervisors that run a command instead of asking over HTTP. */
import { setTimeout } from 'node:timers/promises'
import { readUpTo } from '../chunks.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { refusals } from '../command-line/failure.ts'
import { getLocal } from '../local-request.ts'
import { print, printJson } from '../screen/output.ts'
import { type Address, duration, flag, formatAddress, localAddress } from '../settings/kinds.ts'

const answerMs = 5_000
const retryMs = 100
const maxAnswerBytes = 64 * 1024

export const command = defineCommand({
  usage: ['health [--ready] [--wait TIME] [--json]'],
  about:
    'Ends with 0 when the node of this host answers on its registry port, and with 1, saying why, when it does not.',
  flags: {
    ready: { kind: flag, help: 'ask whether it can serve content, instead of whether it lives' },
    wait: { kind: duration, value: 'TIME', help: 'try for so long (default: once)' },
    json,
  },
  settings: ['http'],
  maxWords: 0,
  examples: [
    ['health', "as a container's health check"],
    ['health --wait 30s', 'after starting a service'],
  ],
  async run({ settings, flags }) {
    const path = flags.ready ? '/readyz' : '/healthz'
    const until = performance.now() + (flags.wait ?? 0)
    for (;;) {
      const { well, text } = await ask(settings.http, path)
      if (well || performance.now() >= until) {
        if (flags.json) printJson({ well, text: text.trim() })
        else print(text)
        return well ? 0 : 1
      }
      await setTimeout(retryMs)
    }
  },
})

function reasonOf(error: Error): string {
  const code = 'code' in error ? String(error.code) : error.name
  return refusals[code]?.words ?? (error.name === 'TimeoutError' ? 'it takes too long' : error.message)
}

async function ask(address: Address, path: string): Promise<{ well: boolean; text: string }> {
  const where = formatAddress(localAddress(address))
  try {
    const answer = await getLocal(address, path, { signal: AbortSignal.timeout(answerMs) })
    const body = await readUpTo(answer, maxAnswerBytes)
    if (body === undefined) throw new Error('what answers there is no node')
    return { well: answer.statusCode === 200, text: body.toString('utf8') }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    return { well: false, text: `${where} does not answer: ${reasonOf(error)}\n` }
  }
}

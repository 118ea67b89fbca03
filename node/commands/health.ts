/** `shoal health`: whether this host's node answers, for supervisors that run a command instead of asking over HTTP. */
import { get } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import type { Command } from '../cli.ts'
import { print } from '../output.ts'
import { type Address, duration, formatAddress, localAddress } from '../setting-kinds.ts'
import { readFlag, readSettings, settingsHelp, UsageError } from '../settings.ts'

const answerMs = 5_000
const retryMs = 100
const maxAnswerBytes = 64 * 1024

export const command: Command = {
  help: `shoal health [--ready] [--wait TIME]

Ends with 0 when the node of this host answers on its registry port, and with 1, saying why, when it does not.

  --ready                 ask whether it can serve content, instead of whether it lives
  --wait TIME             try for so long (default: once)
${settingsHelp(['http'])}

As a container's health check:  shoal health
After starting a service:       shoal health --wait 30s
`,
  async run(args) {
    const { settings, rest, extra } = readSettings(args, process.env, {
      ready: { type: 'boolean' },
      wait: { type: 'string' },
    })
    if (rest.length > 0) throw new UsageError(`health takes flags only; "${rest[0]}" is none`)
    const path = extra.ready === true ? '/readyz' : '/healthz'
    const until = Date.now() + (readFlag(duration, 'wait', extra.wait) ?? 0)
    for (;;) {
      const { well, text } = await ask(settings.http, path)
      if (well || Date.now() >= until) {
        print(text)
        return well ? 0 : 1
      }
      await setTimeout(retryMs)
    }
  },
}

function ask(address: Address, path: string): Promise<{ well: boolean; text: string }> {
  const { host, port } = localAddress(address)
  return new Promise((resolve) => {
    const fail = (error: Error) =>
      resolve({ well: false, text: `${formatAddress({ host, port })} does not answer: ${error.message}\n` })
    get({ host, port, path, signal: AbortSignal.timeout(answerMs) }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
        if (text.length > maxAnswerBytes) answer.destroy(new Error('what answers there is no node'))
      })
      answer.on('error', fail).on('end', () => resolve({ well: answer.statusCode === 200, text }))
    }).on('error', fail)
  })
}

/** Wrong passwords, as fast as they are answered, from several addresses of this host, in a process of its own. */
import { Agent, request } from 'node:http'
import path from 'node:path'
import { runCommand } from './command.ts'

export interface GuessTarget {
  url: string
  count: number
}

/** How often which status was the answer. */
export type Guessed = Record<string, number>

/** As many hosts, each with as many connections: more than one address may have hashed at a time. */
const addresses = 8
const connectionsEach = 8

/** Throws `COMMAND_FAILED` when a connection broke. */
export async function runGuesses(target: GuessTarget, { signal }: { signal: AbortSignal }): Promise<Guessed> {
  const file = path.join(import.meta.dirname, 'guess-load.ts')
  const { stdout } = await runCommand(process.execPath, [file, JSON.stringify(target)], { signal })
  return JSON.parse(stdout) as Guessed
}

async function guess({ url, count }: GuessTarget): Promise<Guessed> {
  const answers: Guessed = {}
  let asked = 0
  const guessFrom = async (localAddress: string): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, localAddress })
    while (asked < count) {
      const wrong = Buffer.from(`user-${asked % 100}:guess ${asked++}`).toString('base64')
      const status = await ask(url, { agent, headers: { Authorization: `Basic ${wrong}` } })
      answers[status] = (answers[status] ?? 0) + 1
    }
    agent.destroy()
  }
  const from = Array.from({ length: addresses * connectionsEach }, (_, n) => `127.0.0.${2 + (n % addresses)}`)
  await Promise.all(from.map(guessFrom))
  return answers
}

function ask(url: string, options: { agent: Agent; headers: Record<string, string> }): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, options, (incoming) => {
      incoming.resume().once('end', () => resolve(incoming.statusCode ?? 0))
    })
    outgoing.once('error', reject).end()
  })
}

if (import.meta.main) {
  const target = JSON.parse(process.argv[2] ?? '') as GuessTarget
  process.stdout.write(JSON.stringify(await guess(target)))
}

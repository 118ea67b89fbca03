/** Wrong passwords, or right ones to compare them with, from several addresses of this host, at an even pace. */
import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

/** How often which status was the answer. */
export type Guessed = Record<string, number>

interface Guesses {
  count: number
  /** Over which they are spread; a node that answers slower gets them slower. */
  ms: number
  /** What is shown instead. */
  login?: string
}

/** As many hosts, each with as many connections: more than one address may have hashed at a time. */
const addresses = 8
const connectionsEach = 8

export class Guesser implements Disposable {
  readonly #url: string
  readonly #signal: AbortSignal
  readonly #agents = Array.from(
    { length: addresses * connectionsEach },
    (_, n) => new Agent({ keepAlive: true, maxSockets: 1, localAddress: `127.0.0.${2 + (n % addresses)}` }),
  )
  #asked = 0

  constructor(url: string, { signal }: { signal: AbortSignal }) {
    this.#url = url
    this.#signal = signal
  }

  /** Resolves when all are answered. Throws when a connection broke. */
  async guess({ count, ms, login }: Guesses): Promise<Guessed> {
    const answers: Guessed = {}
    const startedMs = performance.now()
    let sent = 0
    const guessOn = async (agent: Agent): Promise<void> => {
      while (sent < count) {
        const waitMs = startedMs + (sent++ / count) * ms - performance.now()
        if (waitMs > 0) await delay(waitMs, undefined, { signal: this.#signal })
        const status = await this.#ask(agent, login ?? this.#wrong())
        answers[status] = (answers[status] ?? 0) + 1
      }
    }
    await Promise.all(this.#agents.map(guessOn))
    return answers
  }

  [Symbol.dispose](): void {
    for (const agent of this.#agents) agent.destroy()
  }

  #wrong(): string {
    return `Basic ${Buffer.from(`user-${this.#asked % 100}:guess ${this.#asked++}`).toString('base64')}`
  }

  #ask(agent: Agent, authorization: string): Promise<number> {
    const options = { agent, headers: { authorization }, signal: this.#signal }
    return new Promise((resolve, reject) => {
      const outgoing = request(this.#url, options, (incoming) => {
        incoming.resume().once('end', () => resolve(incoming.statusCode ?? 0))
      })
      outgoing.once('error', reject).end()
    })
  }
}

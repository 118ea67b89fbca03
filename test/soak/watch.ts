/** Looks after the nodes while they are at work: they live, answer, and stay within their memory. */
import { setTimeout as wait } from 'node:timers/promises'
import { patient } from './patience.ts'
import type { Ground } from './registry-client.ts'
import type { SoakNode } from './soak-node.ts'

const everyMs = 3_000
const answerMs = 10_000
/** Of one process; the nodes of a soak hold little. */
export const maxResidentBytes = 600 * 1024 * 1024

export class Watch {
  readonly #ground: Ground
  /** The most that any node had, in bytes. */
  residentBytes = 0

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /** Goes on until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const [index, node] of this.#ground.nodes.entries()) await this.#look(index, node)
      await wait(everyMs, undefined, { signal }).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
    }
  }

  async #look(index: number, soak: SoakNode): Promise<void> {
    const { complain, now } = this.#ground
    if (soak.state !== 'up') return
    if (!soak.node.running()) {
      complain(`node ${index} ended by itself, exit code ${soak.node.exitCode()}`, { node: index })
      soak.enter('down', now())
      return
    }
    await this.#lookAtMemory(index, soak)
    const beginMs = now()
    const answer = await this.#health(soak)
    if (answer !== 'ok' && soak.steadySince(beginMs - answerMs))
      complain(`node ${index} answered GET /healthz with ${answer}`, { node: index })
  }

  async #lookAtMemory(index: number, soak: SoakNode): Promise<void> {
    const bytes = (await soak.residentBytes()) ?? 0
    this.residentBytes = Math.max(this.residentBytes, bytes)
    if (bytes > maxResidentBytes)
      this.#ground.complain(`node ${index} has ${Math.round(bytes / 2 ** 20)} MiB in memory`, { node: index })
  }

  async #health({ node }: SoakNode): Promise<string> {
    const { promise: late, resolve } = Promise.withResolvers<string>()
    const limitMs = patient(answerMs)
    const timer = setTimeout(() => resolve(`nothing for ${Math.round(limitMs / 1000)} s`), limitMs)
    try {
      const answered = node.client
        .ask('GET', '/healthz')
        .then(({ status }) => (status === 200 ? 'ok' : String(status)))
        .catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
      return await Promise.race([answered, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

/** The keep rules of this node, and how much of what they match is here. */
import type { Clock } from '../../../src/base/base.ts'
import { Measured } from '../../measured.ts'
import type { RulesAnswer } from '../answers/storage.ts'
import type { PageNode } from '../page.ts'

const maxNamed = 50

export class RuleReports {
  readonly #rules: Measured<Omit<RulesAnswer, 'mayChange'>>

  constructor(node: Pick<PageNode, 'operate'>, clock: Clock) {
    // A survey looks at every image that a rule matches.
    this.#rules = new Measured(async () => {
      const { signal } = new AbortController()
      const measuredMs = clock.now()
      const { rules } = await node.operate('keep-ls', {}, { signal })
      const shown = rules.map(({ missing, ...rule }) => ({
        ...rule,
        missing: missing.slice(0, maxNamed).map(({ name, parts, sinceMs }) => ({ name, parts, sinceMs })),
      }))
      return { rules: shown, measuredMs }
    }, clock)
  }

  /** What was measured is not what is any more. */
  forget(): void {
    this.#rules.forget()
  }

  async report({ signal }: { signal: AbortSignal }): Promise<Omit<RulesAnswer, 'mayChange'>> {
    const rules = await this.#rules.get()
    signal.throwIfAborted()
    return rules
  }
}

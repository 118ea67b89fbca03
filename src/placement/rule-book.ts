/** The keep rules of this node, durable. */
import { createRule, type KeepRule, KeepRuleError, type RuleText, ruleText } from './rule.ts'

/** A part of the node's database that belongs to the rules alone. */
export interface RuleTable {
  values(): { all(): Promise<RuleText[]> }
  put(key: string, value: RuleText, options: { sync: boolean }): Promise<void>
  del(key: string, options: { sync: boolean }): Promise<void>
}

export interface RuleBook {
  /** In the order of their patterns. */
  list(): readonly KeepRule[]
  /** The rule that was added, or the same one that was there. Throws KeepRuleError when there are too many. */
  add(text: RuleText): Promise<KeepRule>
  /** Removes the rule with this id, or all with this repository pattern; returns them. */
  remove(idOrPattern: string): Promise<KeepRule[]>
  /** Returns the unsubscriber. */
  onChange(listener: () => void): () => void
}

/** Each is asked of every record that comes. */
const maxRules = 256

export async function openRuleBook(table: RuleTable): Promise<RuleBook> {
  const texts = await table.values().all()
  const rules = new Map(texts.map(createRule).map((rule) => [rule.id, rule]))
  const listeners = new Set<() => void>()
  const tell = (): void => {
    for (const listener of listeners) listener()
  }
  return {
    list: () => [...rules.values()].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1)),
    async add(text) {
      const rule = createRule(text)
      const known = rules.get(rule.id)
      if (known !== undefined) return known
      if (rules.size >= maxRules)
        throw new KeepRuleError(`this node has ${maxRules} keep rules, which is the most`)
      await table.put(rule.id, ruleText(rule), { sync: true })
      rules.set(rule.id, rule)
      tell()
      return rule
    },
    async remove(idOrPattern) {
      const gone = [...rules.values()].filter(
        ({ id, repositories }) => id === idOrPattern || repositories === idOrPattern,
      )
      for (const { id } of gone) {
        await table.del(id, { sync: true })
        rules.delete(id)
      }
      if (gone.length > 0) tell()
      return gone
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

function sortKey({ id, repositories }: KeepRule): string {
  return `${repositories} ${id}`
}

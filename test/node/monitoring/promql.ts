/** What a PromQL expression relies on: the metrics that it names, and the labels that it asks of each. */

export interface Selector {
  metric: string
  matchers: { label: string; operator: string; value: string }[]
}

export interface Reliance {
  selectors: Selector[]
  /** Named by `by` and `without`. */
  grouping: string[]
  /** Every other word: functions, operators, and what nobody knows. */
  words: string[]
}

const strings = /"(?:[^"\\]|\\.)*"/g
const selector = /\b([a-z_][a-z0-9_]*)\s*\{([^}]*)\}/g
const matcher = /([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"/g
const grouping = /\b(?:by|without)\s*\(([^)]*)\)/g

/** Of an expression in which each metric that is not followed by braces begins with one of `prefixes`. */
export function relianceOf(expression: string, prefixes: readonly string[]): Reliance {
  const selectors = [...expression.matchAll(selector)].map(([, metric = '', inside = '']) => ({
    metric,
    matchers: [...inside.matchAll(matcher)].map(([, label = '', operator = '', value = '']) => ({
      label,
      operator,
      value,
    })),
  }))
  const groups = [...expression.matchAll(grouping)].flatMap(([, labels = '']) => labels.split(','))
  const rest = expression
    .replace(selector, ' ')
    .replace(grouping, ' ')
    .replace(strings, ' ')
    .replace(/\[[^\]]*\]/g, ' ')
  const words = rest.match(/[a-zA-Z_][a-zA-Z0-9_]*/g) ?? []
  const isMetric = (word: string): boolean => prefixes.some((prefix) => word.startsWith(prefix))
  return {
    selectors: [...selectors, ...words.filter(isMetric).map((metric) => ({ metric, matchers: [] }))],
    grouping: groups.map((label) => label.trim()),
    words: words.filter((word) => !isMetric(word)),
  }
}

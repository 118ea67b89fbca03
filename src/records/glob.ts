/** Patterns over repository names and tags: `*` is any text without `/`, `**` any text at all, the rest is itself. */

/** True when all of `text` fits. Takes time in the product of both lengths, whatever the pattern. */
export function matchesGlob(pattern: string, text: string): boolean {
  // reached[i]: the pattern up to here can end at the text's position i.
  let reached: boolean[] = Array.from({ length: text.length + 1 }, (_, at) => at === 0)
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern.charAt(at)
    if (character === '*') {
      const deep = pattern.charAt(at + 1) === '*'
      if (deep) at++
      for (let i = 1; i <= text.length; i++) {
        if (reached[i - 1] && (deep || text.charAt(i - 1) !== '/')) reached[i] = true
      }
    } else {
      reached = reached.map((_, i) => i > 0 && reached[i - 1] === true && text.charAt(i - 1) === character)
    }
  }
  return reached[text.length] === true
}

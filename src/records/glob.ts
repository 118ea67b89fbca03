/** Patterns over repository names and tags: `*` is any text without `/`, `**` any text at all, the rest is itself. */

/** True when all of `text` fits. Takes time in the product of both lengths at most, whatever the pattern. */
export function matchesGlob(pattern: string, text: string): boolean {
  const first = pattern.indexOf('*')
  if (first < 0) return pattern === text
  // What stands before the first star and behind the last one is itself: most of what does not fit is told by it.
  const last = pattern.lastIndexOf('*') + 1
  const end = text.length - (pattern.length - last)
  if (end < first || !text.startsWith(pattern.slice(0, first)) || !text.endsWith(pattern.slice(last)))
    return false
  const [stars, middle] = [pattern.slice(first, last), text.slice(first, end)]
  if (stars === '**') return true
  return stars === '*' ? !middle.includes('/') : matchesStars(stars, middle)
}

function matchesStars(pattern: string, text: string): boolean {
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

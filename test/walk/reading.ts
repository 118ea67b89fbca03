/** What a person read, with a word in place of each thing that is another in each run. */

/** The order counts: what is said of a whole goes before what is said of its parts. */
const volatile: [RegExp, string][] = [
  [/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'YYYY-MM-DD HH:MM:SS'],
  [/"(\w+Ms)": \d+/g, '"$1": N'],
  [/(127\.0\.0\.1:|127\.0\.0\.1\/tcp\/)\d{4,5}\b/g, '$1PORT'],
  [/process \d+/g, 'process PID'],
  [/\bup (?:\d+ \w+ ?)+/g, 'up TIME'],
  [/[\d.]+ [KMGT]iB of [\d.]+ [KMGT]iB (are )?free/g, 'SIZE of SIZE $1free'],
  // Whether a copy was handed over or fetched is chance.
  [/[\d.]+ (?:Ki)?B to them/g, 'SIZE to them'],
  [/[\d.]+ (?:Ki)?B from members/g, 'SIZE from members'],
  [/SENT +FAULTS/g, 'SENT  FAULTS'],
  [/[\d.]+ (?:Ki)?B +- +/g, 'SIZE  -       '],
  [/Node \d[\d.]+ is/g, 'Node N is'],
  [/\bshoal([ /])\d+\.\d+\.\d+/g, 'shoal$1N.N.N'],
  [/(kept here|can go|others’|free) [\d.]+ (?:[KMGT]i)?B/g, '$1 SIZE'],
  [/(?:just now|\d+ minutes? ago)/g, 'a moment ago'],
  [/(?<![\d.])(?:under 1|\d+) ms\b/g, 'N ms'],
  [/belongs to \S+/g, 'belongs to USER'],
]
/** Cells of tables, whose columns stay as wide as they were. */
const cells: [RegExp, string][] = [
  [/\d+\.\d ms +/g, 'N ms'],
  [/\d+ (?:s|min) ago/g, 'N s ago'],
  [/\b12D3KooW\w{44}\b/g, 'ID'],
]

/** `known` are those of this run, by what stands for them. */
export function reading(screen: string, known: Iterable<[text: string, standsFor: string]>): string {
  let text = screen
  for (const [one, word] of known) text = text.replaceAll(one, word)
  for (const [pattern, word] of volatile) text = text.replace(pattern, word)
  for (const [pattern, word] of cells) text = text.replace(pattern, (cell) => word.padEnd(cell.length))
  return text
}

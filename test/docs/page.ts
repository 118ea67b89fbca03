/**
 * The commands in a page of documentation. They stand in blocks marked `console`, each behind a prompt that names a host:
 *
 *     host-a$ shoal token
 *     shoal1…
 *
 * A line that ends in a backslash goes on in the next. Lines without a prompt are what the command prints, `…` standing for
 * any text. A block after `<!-- not run: REASON -->` is only checked.
 */

export interface DocumentedCommand {
  readonly line: number
  readonly host: string
  readonly text: string
  /** What it prints, among other lines. */
  readonly output: string[]
}

export interface ConsoleBlock {
  readonly line: number
  readonly commands: DocumentedCommand[]
  /** Why a test cannot run it. */
  readonly notRun?: string
}

export interface Page {
  readonly blocks: ConsoleBlock[]
  /** Code between backticks in the text. */
  readonly spans: { line: number; text: string }[]
  /** Lines of code that are in no `console` block, and in none of `text`. */
  readonly otherCode: { line: number; text: string }[]
  /** Output without a command, a command that goes on in no line, a block that does not end. */
  readonly faults: { line: number; text: string }[]
}

const prompt = /^([a-z][a-z0-9-]*)?\$ (.+)$/
const refusal = /^<!-- not run: (.+) -->$/

/** The host of a bare `$`. */
export const onlyHost = 'host'

export function readPage(text: string): Page {
  const page = { blocks: [], spans: [], otherCode: [], faults: [] } as {
    -readonly [K in keyof Page]: Page[K]
  }
  let fence: { language: string; line: number; lines: string[]; notRun: string | undefined } | undefined
  let notRun: string | undefined
  for (const [index, content] of text.split('\n').entries()) {
    const line = index + 1
    const [, language] = /^```(\S*)\s*$/.exec(content) ?? []
    if (fence !== undefined && content === '```') {
      if (fence.language === 'console') page.blocks.push(readBlock(fence, page.faults))
      else if (fence.language !== 'text')
        page.otherCode.push(
          ...fence.lines.map((code, at) => ({ line: (fence?.line ?? 0) + 1 + at, text: code })),
        )
      fence = undefined
    } else if (fence !== undefined) fence.lines.push(content)
    else if (language !== undefined) {
      fence = { language, line, lines: [], notRun }
      notRun = undefined
    } else if (/^ {4}\S/.test(content)) page.otherCode.push({ line, text: content.trim() })
    else {
      const [, reason] = refusal.exec(content) ?? []
      if (reason !== undefined || content.trim() !== '') notRun = reason
      for (const [, code = ''] of content.matchAll(/`([^`]+)`/g)) page.spans.push({ line, text: code })
    }
  }
  if (fence !== undefined) page.faults.push({ line: fence.line, text: 'the block does not end' })
  return page
}

function readBlock(
  { line: start, lines, notRun }: { line: number; lines: string[]; notRun: string | undefined },
  faults: Page['faults'],
): ConsoleBlock {
  const commands: DocumentedCommand[] = []
  let open: { line: number; host: string; text: string } | undefined
  for (const [index, content] of lines.entries()) {
    const line = start + 1 + index
    const [, host = onlyHost, begun] = prompt.exec(content) ?? []
    if (begun === undefined && open === undefined) {
      const last = commands.at(-1)
      if (last === undefined) faults.push({ line, text: `no command prints "${content}"` })
      else if (content !== '') last.output.push(content)
      continue
    }
    const text: string = open === undefined ? (begun ?? '') : `${open.text} ${content.trim()}`
    const at: { line: number; host: string } = open ?? { line, host }
    if (text.endsWith('\\')) open = { ...at, text: text.slice(0, -1).trimEnd() }
    else {
      commands.push({ line: at.line, host: at.host, text, output: [] })
      open = undefined
    }
  }
  if (open !== undefined) faults.push({ line: open.line, text: `"${open.text}" goes on in no line` })
  if (commands.length === 0) faults.push({ line: start, text: 'the block holds no command' })
  return { line: start, commands, ...(notRun === undefined ? {} : { notRun }) }
}

/** One line that shows how far a long work is: on a terminal only, so that files and pipes stay clean. */
import { truncate } from './output.ts'

export interface Progress extends Disposable {
  /** `part` from 0 to 1 draws a bar; without it, the words stand alone. */
  show(words: string, part?: number): void
}

/** Often enough to look alive; a terminal over a slow line is not flooded. */
const minIntervalMs = 100
const barWidth = 24

/** Where it writes to, as standard error is. */
export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** Disposing of it clears the line. */
export function openProgress(
  stream: ProgressStream = process.stderr,
  now: () => number = () => performance.now(),
): Progress {
  let shownMs = Number.NEGATIVE_INFINITY
  return {
    show(words, part) {
      if (stream.isTTY !== true || now() - shownMs < minIntervalMs) return
      shownMs = now()
      const line = part === undefined ? words : `${bar(part)} ${words}`
      stream.write(`\r\u001b[K${truncate(line, (stream.columns ?? 80) - 1)}`)
    },
    [Symbol.dispose]() {
      if (Number.isFinite(shownMs)) stream.write('\r\u001b[K')
    },
  }
}

/** Such as `[#########---------------]  37%`. `part` is from 0 to 1. */
export function bar(part: number, width = barWidth): string {
  const within = Math.min(1, Math.max(0, part))
  const filled = Math.floor(within * width)
  const percent = `${Math.floor(within * 100)}%`.padStart(4)
  return `[${'#'.repeat(filled)}${'-'.repeat(width - filled)}]${percent}`
}

/** How commands show what is on its way: a bar for each blob on a terminal, a line for each elsewhere. */
import type { WarmEvent } from '../operations/warm.ts'
import { formatBytes } from './output.ts'

/** The part of a terminal, or of a file in its place, that is written to. */
export interface BoardStream {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  write(text: string): unknown
}

export interface TransferBoard extends Disposable {
  show(event: WarmEvent): void
  /** Leaves what was shown; nothing is shown any more. */
  close(): void
}

interface Row {
  label: string
  size: number
  receivedBytes: number
}

const defaultColumns = 80
const defaultRows = 24
const barLength = 24
const labelLength = 19

export function openTransferBoard(stream: BoardStream): TransferBoard {
  return stream.isTTY === true ? new Bars(stream) : lines(stream)
}

/** One line for each thing that ends. */
function lines(stream: BoardStream): TransferBoard {
  return {
    show(event) {
      if (event.type === 'image') stream.write(`${event.image} is ${event.digest}\n`)
      if (event.type !== 'part' || event.state === 'coming') return
      const { kind, digest, size, state } = event
      stream.write(`${kind} ${digest}  ${formatBytes(size)}  ${stateWord[state]}\n`)
    },
    close: () => undefined,
    [Symbol.dispose]: () => undefined,
  }
}

const stateWord = { held: 'was here', coming: 'is coming', here: 'is here', missing: 'is missing' }

/** Bars of what is on its way below the lines of what has ended; as many as fit the screen. */
class Bars implements TransferBoard {
  readonly #stream: BoardStream
  readonly #rows = new Map<string, Row>()
  #shown = 0
  #isClosed = false

  constructor(stream: BoardStream) {
    this.#stream = stream
  }

  show(event: WarmEvent): void {
    if (this.#isClosed) return
    if (event.type === 'image') this.#draw(`${event.image} is ${event.digest}\n`)
    else if (event.type === 'progress') {
      const row = this.#rows.get(event.digest)
      if (row !== undefined) row.receivedBytes = event.receivedBytes
      this.#draw()
    } else if (event.state === 'coming') {
      this.#rows.set(event.digest, { label: shortDigest(event.digest), size: event.size, receivedBytes: 0 })
      this.#draw()
    } else {
      this.#rows.delete(event.digest)
      const { digest, size, state } = event
      this.#draw(`${shortDigest(digest)}  ${stateWord[state]}  ${formatBytes(size)}\n`)
    }
  }

  close(): void {
    if (this.#isClosed) return
    this.#rows.clear()
    this.#draw()
    this.#isClosed = true
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Goes up to where the bars begin, and writes everything below anew. */
  #draw(ended = ''): void {
    const { columns = defaultColumns, rows = defaultRows } = this.#stream
    const bars = [...this.#rows.values()]
      .slice(0, Math.max(1, rows - 2))
      .map((row) => bar(row).slice(0, columns - 1))
    const back = this.#shown === 0 ? '' : `\u001b[${this.#shown}A`
    this.#stream.write(`${back}\r\u001b[J${ended}${bars.map((line) => `${line}\n`).join('')}`)
    this.#shown = bars.length
  }
}

function bar({ label, size, receivedBytes }: Row): string {
  const done = size === 0 ? 1 : Math.min(1, receivedBytes / size)
  const filled = Math.round(done * barLength)
  const drawn = `[${'='.repeat(filled)}${' '.repeat(barLength - filled)}]`
  return `${label}  ${drawn}  ${formatBytes(receivedBytes)} of ${formatBytes(size)}`
}

/** As much of it as tells it from others. */
function shortDigest(digest: string): string {
  return digest.slice(0, labelLength)
}

/** The pieces that a simulated host is sending, each until its downloader has confirmed it or it was stopped. */
import type { Network, Port, Transfer } from './network.ts'

export interface PieceName {
  downloader: string
  blob: string
  piece: number
}

/** What happens to a piece on its way. */
export interface SendingEvents {
  onWritten(): void
  /** So many bytes came; `whole` of them, and of those before, are frames that a node counts. */
  onBytes(bytes: number, whole: number): void
  /** It is there; `confirm` is to be called when the host hears of that. */
  onArrived(confirm: () => void): void
}

/** A node counts what has come by frames of this size. */
const frameBytes = 64 * 1024

export class Sendings {
  readonly #network: Network
  readonly #from: Port
  readonly #onSent: (name: PieceName) => void
  readonly #open = new Map<string, { name: PieceName; transfer: Transfer }>()

  constructor(options: { network: Network; from: Port; onSent(name: PieceName): void }) {
    this.#network = options.network
    this.#from = options.from
    this.#onSent = options.onSent
  }

  begin(name: PieceName, to: Port, bytes: number, events: SendingEvents): void {
    let uncounted = 0
    const transfer: Transfer = {
      from: this.#from,
      to,
      bytes,
      left: bytes,
      onWritten: () => events.onWritten(),
      onBytes: (count) => {
        uncounted += count
        const whole = uncounted < frameBytes ? 0 : uncounted
        uncounted %= frameBytes
        events.onBytes(count, whole)
      },
      onArrived: () => events.onArrived(() => this.#end(name, transfer)),
    }
    this.#open.set(keyOf(name), { name, transfer })
    this.#network.send(transfer)
  }

  stop(name: PieceName): void {
    const found = this.#open.get(keyOf(name))
    if (found === undefined) return
    this.#network.stop(found.transfer)
    this.#end(name, found.transfer)
  }

  /** The downloader is gone. */
  stopAll(to: Port): void {
    for (const { name, transfer } of this.#open.values()) if (transfer.to === to) this.stop(name)
  }

  /** Unless it was stopped and is being sent again. */
  #end(name: PieceName, transfer: Transfer): void {
    const key = keyOf(name)
    if (this.#open.get(key)?.transfer !== transfer) return
    this.#open.delete(key)
    this.#onSent(name)
  }
}

function keyOf({ downloader, blob, piece }: PieceName): string {
  return `${downloader} ${blob} ${piece}`
}

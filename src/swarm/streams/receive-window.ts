/**
 * What the peer may still send on a yamux stream. yamux grants again after every frame whatever that took, so that each small
 * message costs a second one in return; here the grant waits until a part of the window is used up.
 */
import type { Stream } from '@libp2p/interface'
import { StreamState, type YamuxStream } from '@libp2p/yamux/stream'

/** A quarter of the window that every stream begins with, 256 KiB. */
const grantBytes = 64 * 1024

export class ReceiveWindow {
  readonly #stream: Stream
  readonly #yamux: Pick<YamuxStream, 'state' | 'sendPause'> | undefined
  #usedBytes = 0

  constructor(stream: Stream) {
    this.#stream = stream
    this.#yamux = isYamux(stream) ? stream : undefined
  }

  /** So many bytes came. To be called while they are being delivered: yamux grants after that, unless it is held. */
  use(bytes: number): void {
    this.#usedBytes += bytes
    if (this.#usedBytes < grantBytes) {
      this.hold()
      return
    }
    this.#usedBytes = 0
    // Who has paused the stream grants when it goes on.
    if (this.#stream.status !== 'open' || this.#stream.readStatus !== 'readable') return
    if (this.#yamux?.state === StreamState.Paused) this.#yamux.state = StreamState.Established
  }

  /** To be called after the stream was resumed, which grants everything. */
  hold(): void {
    // The first frame of a stream is answered in any case: that opens it.
    if (this.#yamux?.state === StreamState.Established) this.#yamux.sendPause()
  }
}

function isYamux(stream: Stream): stream is YamuxStream {
  return 'sendPause' in stream && 'state' in stream
}

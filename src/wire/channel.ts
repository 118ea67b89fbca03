/** Whole messages to and from one peer, in order. A libp2p stream makes one, and so does `channelPair` for tests. */
export interface Channel {
  /** Resolves when there is room for the next. Throws `CHANNEL_BROKEN` once the channel is, `TOO_LARGE` for a frame too long. */
  send(frame: Uint8Array, options?: { signal?: AbortSignal }): Promise<void>
  /** `undefined` after the peer's orderly end; throws `CHANNEL_BROKEN` when it broke inside a frame or was reset. */
  receive(options?: { signal?: AbortSignal }): Promise<Uint8Array | undefined>
  /** Ends this side in order: the peer receives what was sent and then the end. */
  close(): Promise<void>
  /** Ends both sides at once. */
  abort(reason: Error): void
}

/** A channel that moves many frames at once: what a small one costs alone, a dozen together hardly cost more. */
export interface BatchChannel extends Channel {
  /** As `send`, all of them as one write where they are small. Their memory may be used again once the next call resolves. */
  sendAll(frames: readonly Uint8Array[], options?: { signal?: AbortSignal }): Promise<void>
  /** As `receive`, every frame that has come whole: one at least. */
  receiveAll(options?: { signal?: AbortSignal }): Promise<Uint8Array[] | undefined>
}

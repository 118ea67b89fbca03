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

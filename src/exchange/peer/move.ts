/**
 * How two neighbours go over from their stream to a direct connection. Both tell where they listen; the one that leads connects,
 * and where it cannot reach the other, that one does. The leader's `moved` decides: what is not there by then never will be.
 */
import { type Clock, patience, unlessAborted } from '../../base/base.ts'
import { ChannelBrokenError, MalformedError } from '../../wire/wire.ts'
import type { Move as MoveMessage } from '../protocol/messages.ts'
import { DirectError, type DirectOffer, type Expectation } from './direct.ts'
import type { SocketChannel } from './socket-channel.ts'

/** Direct connections to one peer. */
export interface DirectAccess {
  expect(): Expectation | undefined
  /** Throws DirectError. */
  connect(offer: DirectOffer, options: { signal: AbortSignal }): Promise<SocketChannel>
  /** Runs in the background until it ends. */
  start(work: (signal: AbortSignal) => Promise<void>): void
  /** There is none to be had; it is not to be tried again for a while. */
  onFailed(error: Error): void
}

export interface MoveOptions {
  /** Of two neighbours one does. */
  leads: boolean
  /** Absent where the stream has to do. */
  access?: DirectAccess | undefined
  signal: AbortSignal
  clock: Clock
  send(message: MoveMessage): void
  /** Of the one that leads: it has a direct connection, and goes over now. */
  onReached(channel: SocketChannel): void
}

/** For the end of a handshake that the other side has seen the end of. */
const followMs = 15_000

type State =
  | { name: 'waiting' }
  | { name: 'told'; mine: Expectation }
  | { name: 'connecting'; mine: Expectation; theirs: DirectOffer }
  | { name: 'reached'; channel: SocketChannel }
  | { name: 'over' }

export class Move {
  readonly #options: MoveOptions
  readonly #found = Promise.withResolvers<SocketChannel | undefined>()
  #state: State = { name: 'waiting' }

  constructor(options: MoveOptions) {
    this.#options = options
    options.signal.addEventListener('abort', () => this.#end(), { once: true })
  }

  /** It is worth a handshake by now. */
  begin(): void {
    if (this.#state.name === 'waiting' && this.#options.access !== undefined) this.#tell()
  }

  /** Throws `MALFORMED`. */
  take(message: Exclude<MoveMessage, { type: 'moved' }>): void {
    switch (message.type) {
      case 'direct':
        this.#told(message)
        return
      case 'dial':
        if (this.#options.leads || this.#state.name === 'waiting' || this.#state.name === 'told') {
          throw unexpected('dial')
        }
        if (this.#state.name === 'connecting') this.#connect(this.#state.theirs)
        return
      case 'no-direct':
        if (this.#state.name === 'told') this.#end()
        else if (this.#state.name === 'connecting') this.#fail(new DirectError('the peer cannot be reached'))
    }
  }

  /** Where the peer has gone to. Throws `MALFORMED` when it cannot have gone anywhere, `CHANNEL_BROKEN` when that is gone. */
  async follow(): Promise<SocketChannel> {
    if (this.#state.name === 'waiting' || this.#state.name === 'told') throw unexpected('moved')
    const channel = await unlessAborted(this.#found.promise, patience(followMs, this.#options.clock))
    if (channel === undefined) throw new ChannelBrokenError('the direct connection is gone')
    return channel
  }

  #tell(): boolean {
    const mine = this.#options.access?.expect()
    if (mine === undefined) return false
    this.#state = { name: 'told', mine }
    this.#options.send({ type: 'direct', ...mine.offer })
    return true
  }

  #told(theirs: DirectOffer): void {
    if (this.#state.name === 'connecting' || this.#state.name === 'reached') throw unexpected('direct')
    if (this.#state.name === 'over') return
    if (this.#state.name === 'waiting' && !this.#tell()) {
      this.#options.send({ type: 'no-direct' })
      this.#end()
      return
    }
    if (this.#state.name !== 'told') return
    const { mine } = this.#state
    mine.from(theirs.fingerprint)
    this.#state = { name: 'connecting', mine, theirs }
    if (this.#options.leads) this.#connect(theirs)
    else this.#await(mine)
  }

  #await({ arrival }: Expectation): void {
    this.#options.access?.start(async () => {
      const channel = await arrival
      if (channel !== undefined) this.#reached(channel)
      else if (this.#options.leads) this.#fail(new DirectError('the peer did not connect'))
    })
  }

  #connect(theirs: DirectOffer): void {
    const { access, leads, signal, send } = this.#options
    access?.start(async (stop) => {
      try {
        this.#reached(await access.connect(theirs, { signal: AbortSignal.any([stop, signal]) }))
      } catch (error) {
        if (signal.aborted || stop.aborted) return
        const isReached = error instanceof DirectError && error.isReached
        if (!leads || isReached || this.#state.name !== 'connecting') this.#fail(asError(error))
        else {
          send({ type: 'dial' })
          this.#await(this.#state.mine)
        }
      }
    })
  }

  #reached(channel: SocketChannel): void {
    if (this.#state.name !== 'connecting') {
      channel.abort(new DirectError('it came too late'))
      return
    }
    this.#state.mine.cancel()
    this.#state = { name: 'reached', channel }
    this.#found.resolve(channel)
    if (this.#options.leads) this.#options.onReached(channel)
  }

  #fail(error: Error): void {
    if (this.#state.name === 'reached' || this.#state.name === 'over') return
    this.#options.send({ type: 'no-direct' })
    this.#end()
    this.#options.access?.onFailed(error)
  }

  #end(): void {
    if (this.#state.name === 'told' || this.#state.name === 'connecting') this.#state.mine.cancel()
    if (this.#state.name === 'reached') this.#state.channel.abort(new DirectError('the neighbour has gone'))
    this.#state = { name: 'over' }
    this.#found.resolve(undefined)
  }
}

function unexpected(type: MoveMessage['type']): MalformedError {
  return new MalformedError(`${type} where it means nothing`)
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new DirectError('connecting failed', { cause })
}

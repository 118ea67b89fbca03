/** The connections to all neighbours, one for each: opened with the first want, or taken from who opens one. */
import {
  type Background,
  type Clock,
  inStep,
  patience,
  RecentMap,
  unlessAborted,
  untilOrAfter,
} from '../../base/base.ts'
import { type BatchChannel, ChannelBrokenError } from '../../wire/wire.ts'
import type { ExchangeHost } from '../contract.ts'
import { type Ask, exchangeProtocol, isAsk } from '../protocol/messages.ts'
import { maxFrameBytes } from '../protocol/raw-frames.ts'
import { Asking } from './asking.ts'
import { Connection, ConnectionOverError, isBreach } from './connection.ts'
import { type Direct, DirectError } from './direct.ts'
import type { Faults } from './faults.ts'
import type { DirectAccess } from './move.ts'
import type { FrameSource } from './outbox.ts'
import { type Moved, Rests } from './rests.ts'
import type { Traffic } from './traffic.ts'

/** The other side of a connection: the neighbour's wants, and what is sent to it. */
export interface Seeding extends FrameSource {
  /** A promise holds back what the neighbour says next. Throws `MALFORMED`. */
  take(ask: Ask): Promise<void> | undefined
  /** Whether the neighbour wants anything. */
  readonly isWanted: boolean
  /** To be called every `tickMs`. */
  check(): void
  end(): void
}

export interface ConnectionsOptions {
  self: string
  host: ExchangeHost
  background: Background
  faults: Faults
  traffic: Traffic
  clock: Clock
  /** Where direct connections lead; absent, everything takes the streams. */
  direct?: {
    listener: Direct
    /** Hosts at which the peer may be reached, the likeliest first. */
    addressesOf(peer: string): string[]
  }
  seed(connection: Connection): Seeding
  /** Called every `tickMs` while there are neighbours. */
  onTick(): void
}

interface Neighbour {
  connection: Connection
  asking: Asking
  seeding: Seeding
  /** Who opened it closes it when nobody has used it for a while. */
  isMine: boolean
  usedMs: number
}

export const tickMs = 50
/** While none asks another for anything. */
const idleTickMs = 1000
const openTimeoutMs = 3000
const idleMs = 30_000
/** A stream that lost against this node's own is left by the peer within this time. */
const leaveMs = 10_000
/** How long a peer to which a direct connection failed is spoken to on the stream alone. */
const withoutDirectMs = 5 * 60_000
const maxRemembered = 1024

export class Connections {
  readonly #options: ConnectionsOptions
  readonly #neighbours = new Map<string, Neighbour>()
  /** Until when. */
  readonly #withoutDirect = new RecentMap<string, number>(maxRemembered)
  readonly #rests = new Rests()
  /** Something is, or may be, asked of one. */
  #used = Promise.withResolvers<void>()
  #isTicking = false

  constructor(options: ConnectionsOptions) {
    this.#options = options
  }

  /** What is asked of the peer; a connection is opened in the background when there is none. */
  to(peer: string): Asking {
    this.#used.resolve()
    const known = this.#neighbours.get(peer)
    if (known !== undefined && !known.connection.hasEnded) return known.asking
    const neighbour = this.#add(peer, { isMine: true })
    const { host, background, clock } = this.#options
    background.start('connection', async (signal) => {
      await this.#run(neighbour, signal, async () => {
        const opening = AbortSignal.any([signal, neighbour.connection.signal, patience(openTimeoutMs, clock)])
        const stream = await host.open(peer, exchangeProtocol, { maxFrameBytes, signal: opening })
        await neighbour.connection.run(stream)
      })
    })
    return neighbour.asking
  }

  /** Much is going to be asked of the peer soon: opens what takes a while to open. */
  ready(peer: string): void {
    this.to(peer)
    const connection = this.#neighbours.get(peer)?.connection
    if (connection?.isUnanswered !== true) return
    // Of a stream on which nothing is said the peer does not know.
    connection.send({ type: 'alive' })
    connection.preferDirect()
  }

  /** Carries a connection that the peer opened to its end. */
  async accept(stream: BatchChannel, peer: string, { signal }: { signal: AbortSignal }): Promise<void> {
    const came = await stream.receiveAll({ signal })
    if (came === undefined) return
    const mine = this.#neighbours.get(peer)?.connection
    // Of two that cross the one of the smaller id stays, unless it comes to nothing.
    const isCrossing = mine?.isUnanswered === true && !mine.isOpening
    if (isCrossing && this.#leads(peer) && (await unlessAborted(mine.heard, signal))) {
      await leaveTo(stream, signal)
      return
    }
    const known = this.#neighbours.get(peer)
    // What it has not heard is said to it here; where it was heard, this is another connection, and the peer left that one behind.
    const asking = known?.connection.isUnanswered === true ? known.asking : undefined
    const neighbour = this.#add(peer, { isMine: false, asking })
    known?.connection.abort(new ConnectionOverError('the peer opened another'))
    await this.#run(neighbour, signal, async () => await neighbour.connection.run(stream, came))
  }

  #add(
    peer: string,
    { isMine, asking: before }: { isMine: boolean; asking?: Asking | undefined },
  ): Neighbour {
    const { clock, traffic, seed } = this.#options
    const asking: Asking =
      before ??
      new Asking({
        peer,
        clock,
        onMuch: () => this.#carrying(asking)?.preferDirect(),
        abort: (cause) => {
          const carrying = this.#carrying(asking)
          if (carrying?.isDirect === true) this.#goWithoutDirect(peer)
          carrying?.abort(new ConnectionOverError(`given up: ${cause.message}`, { cause }))
        },
      })
    const connection: Connection = new Connection({
      peer,
      leads: this.#leads(peer),
      clock,
      access: this.#accessTo(peer),
      source: {
        beforeWrite: () => seeding.beforeWrite(),
        next: () => seeding.next(),
        written: (frame) => seeding.written(frame),
      },
      onFrame: (frame, way) => {
        if (isAsk(frame)) {
          this.#used.resolve()
          asking.moved()
          return seeding.take(frame)
        }
        if ('bytes' in frame) traffic.received(peer, frame.bytes.length, way)
        asking.take(frame)
        return undefined
      },
      onBytes: () => asking.moved(),
    })
    const seeding = seed(connection)
    const neighbour = { connection, asking, seeding, isMine, usedMs: clock.now() }
    this.#neighbours.set(peer, neighbour)
    // A request mostly follows the piece that came, once its hash is known, and takes the word of it along.
    asking.speak((ask) => (ask.type === 'got' ? connection.sendAlong(ask) : connection.send(ask)))
    this.#tick()
    return neighbour
  }

  /** To its end, which both sides hear of. */
  async #run(neighbour: Neighbour, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const { connection, asking, seeding } = neighbour
    const { peer } = connection
    const stop = (): void => connection.abort(new ConnectionOverError('the node is closing'))
    signal.addEventListener('abort', stop, { once: true })
    try {
      signal.throwIfAborted()
      await work()
    } catch (error) {
      if (!signal.aborted) this.#failed(neighbour, error)
    } finally {
      signal.removeEventListener('abort', stop)
      connection.abort(new ConnectionOverError('the connection has ended'))
      seeding.end()
      const current = this.#neighbours.get(peer)
      if (current === neighbour) this.#neighbours.delete(peer)
      if (current?.asking !== asking || current === neighbour) asking.end()
    }
  }

  #failed({ connection, asking, seeding }: Neighbour, error: unknown): void {
    const { faults } = this.#options
    const { peer, signal, isDirect } = connection
    // A stream that was given up for one that the peer opened.
    if (signal.reason instanceof ConnectionOverError) return
    const reason = error instanceof Error ? error.message : String(error)
    if (isDirect) this.#goWithoutDirect(peer)
    if (isBreach(error)) faults.add(peer, 'protocol', { reason })
    else if (isDirect) faults.add(peer, 'direct', { reason })
    else if (asking.wants > 0 || seeding.isWanted) faults.add(peer, 'broken', { reason })
  }

  #tick(): void {
    if (this.#isTicking) return
    this.#isTicking = true
    const { background, clock } = this.#options
    background.start('connections', async (signal) => {
      for (let restMs = 0; this.#neighbours.size > 0; ) {
        const sinceMs = clock.now()
        if (restMs > 0 || this.#isUsed) await clock.sleep(inStep(restMs || tickMs, sinceMs), { signal })
        else {
          this.#used = Promise.withResolvers()
          await untilOrAfter(this.#used.promise, idleTickMs, { clock, signal })
        }
        this.#options.onTick()
        restMs = this.#rests.next(this.#moved(), Math.max(1, clock.now() - sinceMs))
        for (const neighbour of this.#neighbours.values()) this.#check(neighbour, { rests: restMs > 0 })
      }
      this.#isTicking = false
    })
  }

  get #isUsed(): boolean {
    for (const { asking, seeding, connection } of this.#neighbours.values())
      if (asking.wants > 0 || seeding.isWanted || connection.isBehind) return true
    return false
  }

  #moved(): Moved {
    const all = { receivedBytes: 0, sentBytes: 0, isUnderWay: false }
    for (const { connection } of this.#neighbours.values()) {
      const moved = connection.moved()
      all.receivedBytes += moved.receivedBytes
      all.sentBytes += moved.sentBytes
      all.isUnderWay ||= moved.isUnderWay
    }
    return all
  }

  #check(neighbour: Neighbour, resting: { rests: boolean }): void {
    const { connection, asking, seeding, isMine } = neighbour
    seeding.check()
    connection.check(resting)
    const nowMs = this.#options.clock.now()
    if (asking.wants > 0 || seeding.isWanted) neighbour.usedMs = nowMs
    else if (isMine && nowMs - neighbour.usedMs > idleMs) connection.close()
  }

  #carrying(asking: Asking): Connection | undefined {
    const neighbour = this.#neighbours.get(asking.peer)
    return neighbour?.asking === asking ? neighbour.connection : undefined
  }

  #leads(peer: string): boolean {
    return this.#options.self < peer
  }

  #accessTo(peer: string): DirectAccess | undefined {
    const { direct, clock, background, faults } = this.#options
    if (direct === undefined || (this.#withoutDirect.get(peer) ?? 0) > clock.now()) return undefined
    const { listener, addressesOf } = direct
    return {
      expect: () => listener.expect(),
      connect: async (offer, options) => {
        const [address] = addressesOf(peer)
        if (address === undefined) throw new DirectError(`no address of ${peer} is known`)
        return await listener.connect(address, offer, options)
      },
      start: (work) => background.start('direct', work),
      onFailed: (error) => {
        faults.add(peer, 'direct', { reason: error.message })
        this.#goWithoutDirect(peer)
      },
    }
  }

  #goWithoutDirect(peer: string): void {
    this.#withoutDirect.set(peer, this.#options.clock.now() + withoutDirectMs)
  }
}

/** Reads what comes until the peer gives the stream up for the other one; throws when it does not. */
async function leaveTo(stream: BatchChannel, signal: AbortSignal): Promise<void> {
  const timely = AbortSignal.any([signal, AbortSignal.timeout(leaveMs)])
  try {
    while ((await stream.receiveAll({ signal: timely })) !== undefined);
  } catch (error) {
    if (!(error instanceof ChannelBrokenError)) throw error
  }
}

/** The holder's side: answers askers, sends what the fairness among them grants, and looks again at what they call wrong. */
import type { Clock, Logger } from '../base/base.ts'
import type { Digest } from '../oci/oci.ts'
import { type Channel, ChannelBrokenError, MalformedError, parsePeerId } from '../wire/wire.ts'
import { AskerSession, type ServedWant } from './asker-session.ts'
import type { Background } from './background.ts'
import type { Complaints } from './complaints.ts'
import type { DirectLanes } from './direct-lanes.ts'
import type { Faults } from './faults.ts'
import { FramePool } from './frame-pool.ts'
import type { Holding, Holdings } from './holdings.ts'
import { listPackLimit, packLists } from './list-pack.ts'
import { type Ask, aliveMs, decodeAsk, maxOthers } from './messages.ts'
import type { PieceLists } from './piece-lists.ts'
import { PieceSender } from './piece-sender.ts'
import { layoutOf } from './piece-size.ts'
import { listFrames } from './raw-frames.ts'
import type { TokenBucket } from './token-bucket.ts'
import type { Traffic } from './traffic.ts'
import { Upload, type UploadAction, type UploadEvent, type UploadLimits } from './upload.ts'

export interface ServingOptions {
  background: Background
  holdings: Holdings
  lists: PieceLists
  complaints: Complaints
  faults: Faults
  traffic: Traffic
  limits: Partial<UploadLimits>
  budget?: TokenBucket
  lanes?: DirectLanes
  /** A peer asks for this blob, and so may soon have some of it. */
  onAsker(peer: string, digest: Digest): void
  clock: Clock
  logger: Logger
}

interface Service {
  session: AskerSession
  sender: PieceSender
  /** There is news to be told. */
  isFlushing: boolean
  flushedMs: number
  isOffering: boolean
}

const tickMs = 50
/** How long news of pieces may wait for more: an asker that waits for pieces from here is short of nothing. */
const flushMs = 20
const busyFlushMs = 100
/** An asker that takes nothing for so long keeps no slot from others. */
const slotMs = 500
/** An asker that takes nothing for so long is let go. */
const blockedMs = 15_000
const laneBlockedMs = 5000
/** 8 MiB. */
const maxFreeFrames = 32

export class Serving {
  readonly #options: ServingOptions
  readonly #upload: Upload
  readonly #pool = new FramePool({ most: maxFreeFrames })
  readonly #services = new Map<string, Service>()
  #channels = 0
  #isTicking = false

  constructor(options: ServingOptions) {
    this.#options = options
    this.#upload = new Upload(options.limits)
  }

  /** Serves one channel to its end. Throws `MALFORMED` when the asker breaks the protocol. */
  async serve(channel: Channel, peer: string, { signal }: { signal: AbortSignal }): Promise<void> {
    // A peer opens one channel, so an earlier one is what it left behind.
    for (const { session } of this.#services.values()) {
      if (session.peer === peer) session.channel.abort(new ChannelBrokenError('the asker opened another'))
    }
    const service = this.#open(channel, peer)
    const { session, sender } = service
    const over = new AbortController()
    const either = AbortSignal.any([signal, over.signal])
    const sending = Promise.all([
      this.#guard(sender.run({ signal: either }), channel, either),
      this.#guard(session.outbox.run({ signal: either }), channel, either),
    ])
    try {
      for (;;) {
        const frame = await channel.receive({ signal })
        if (frame === undefined) return
        session.countAsk()
        await this.#take(service, decodeAsk(frame))
      }
    } finally {
      session.closeAll()
      this.#feed({ type: 'left', asker: session.asker })
      over.abort(new ChannelBrokenError('the asker has left'))
      await sending
      sender.leaveLane()
      this.#services.delete(session.asker)
    }
  }

  #open(channel: Channel, peer: string): Service {
    const { clock, holdings, background, budget, traffic } = this.#options
    const asker = `${peer}/${this.#channels++}`
    const session = new AskerSession({
      asker,
      peer,
      channel,
      clock,
      holdings,
      background,
      onHolding: (_, want, holding) => this.#introduce(session, want, holding),
      onGone: (_, digest) => this.#feed({ type: 'done', asker, blob: digest }),
      onNews: () => this.#flushSoon(service),
    })
    const sender = new PieceSender({
      session,
      holdings,
      pool: this.#pool,
      clock,
      ...(budget === undefined ? {} : { budget }),
      onSent: (bytes, lane) => traffic.sent(peer, bytes, lane),
      onLaneLost: () => {
        this.#options.faults.add(peer, 'lane')
        session.say({ type: 'lane-none' })
      },
      onUnreadable: (digest, piece, error) => this.#options.complaints.unreadable(digest, piece, error),
    })
    const service: Service = { session, sender, isFlushing: false, flushedMs: 0, isOffering: false }
    this.#services.set(asker, service)
    this.#tick()
    return service
  }

  async #take(service: Service, ask: Ask): Promise<void> {
    const { session, sender } = service
    const { asker, peer } = session
    switch (ask.type) {
      case 'want':
        await session.open(ask.id, ask)
        return this.#options.onAsker(peer, ask.digest)
      case 'done':
        return session.close(ask.id)
      case 'lane-ask':
        return this.#offerLane(service, ask.fingerprint)
      case 'lane-lost':
        sender.reset()
        return this.#feed({ type: 'reset', asker })
    }
    const want = session.find(ask.id)
    // What was asked before it was known that the blob is gone.
    if (want?.holding === undefined) return
    const blob = want.digest
    if (ask.type === 'list') {
      const from = ask.from ?? 0
      if (from > 0) check([from], want.holding)
      return this.#sendList(session, want, from)
    }
    if (ask.type === 'bad') {
      check([ask.piece], want.holding)
      return this.#options.complaints.hear(peer, want, ask.piece)
    }
    check(ask.pieces, want.holding)
    if (ask.type === 'got') {
      for (const piece of ask.pieces) sender.confirm(blob, piece)
      return
    }
    if (ask.type === 'cancel') return this.#feed({ type: 'cancel', asker, blob, pieces: ask.pieces })
    session.asked(want)
    // Told again each time: the node may have had too many askers when it was told first.
    const { held, isOrigin } = want.holding
    this.#feed({ type: 'want', asker, blob, held, isOrigin })
    this.#feed({ type: 'request', asker, blob, pieces: ask.pieces, urgent: ask.urgent === 1 })
  }

  #offerLane(service: Service, fingerprint: Uint8Array): void {
    const { session, sender } = service
    const expected =
      sender.isDirect || service.isOffering ? undefined : this.#options.lanes?.expect(fingerprint)
    if (expected === undefined) {
      session.say({ type: 'lane-none' })
      return
    }
    service.isOffering = true
    session.say({ type: 'lane-offer', ...expected.offer })
    this.#options.background.start('lane', async () => {
      const lane = await expected.arrival
      service.isOffering = false
      if (lane === undefined) return
      if (this.#services.get(session.asker) === service) sender.use(lane)
      else lane.abort(new ChannelBrokenError('the asker has left'))
    })
  }

  #introduce(session: AskerSession, want: ServedWant, holding: Holding): void {
    const { asker, peer } = session
    const peers = new Set<string>()
    for (const other of this.#upload.askersOf(want.digest)) {
      const known = this.#services.get(other)?.session.peer
      if (known !== undefined && known !== peer && peers.size < maxOthers) peers.add(known)
    }
    const { held, isOrigin } = holding
    this.#feed({ type: 'want', asker, blob: want.digest, held, isOrigin })
    if (peers.size > 0) session.say({ type: 'others', id: want.id, peers: [...peers].map(parsePeerId) })
  }

  #sendList(session: AskerSession, want: ServedWant, from: number): void {
    const { lists, holdings, background, logger } = this.#options
    if (want.isListing || want.holding === undefined) return
    const { size } = want.holding
    want.isListing = true
    background.start('list', async (signal) => {
      try {
        const growing = holdings.partialList(want.digest)
        const signed =
          growing === undefined ? [await lists.get(want.digest, size)] : lists.growing(growing, from)
        if (signed.length === 0) session.say({ type: 'no-list', id: want.id })
        const pack = packLists(signed, listPackLimit(size))
        for (const frame of listFrames(want.id, pack)) {
          if (session.find(want.id) !== want) return
          await session.channel.send(frame, { signal })
          session.spoke()
        }
      } catch (error) {
        if (error instanceof ChannelBrokenError || signal.aborted) return
        logger.warn({ err: error, digest: want.digest }, 'a piece list could not be given')
        session.say({ type: 'no-list', id: want.id })
      } finally {
        want.isListing = false
      }
    })
  }

  #feed(event: UploadEvent): void {
    for (const action of this.#upload.handle(event, this.#options.clock.now())) this.#perform(action)
  }

  #perform(action: UploadAction): void {
    const { asker, blob } = action
    const service = this.#services.get(asker)
    const digest = blob as Digest
    if (action.type === 'send') {
      this.#send(service, asker, digest, action.piece)
      return
    }
    if (service === undefined) return
    if (action.type === 'stop') {
      service.sender.stop(digest, action.piece)
      return
    }
    const id = service.session.holderOf(digest)?.id
    if (id === undefined) return
    const { retryAfterMs } = action
    if (action.type === 'busy') {
      service.session.say({ type: 'busy', id, retryAfterMs })
      return
    }
    const { pieces, instead } = action
    service.session.say({ type: 'later', id, pieces, instead, retryAfterMs })
  }

  #send(service: Service | undefined, asker: string, digest: Digest, piece: number): void {
    let isHeld = true
    const release = (): void => {
      if (!isHeld) return
      isHeld = false
      this.#feed({ type: 'sent', asker, blob: digest, piece })
    }
    if (service === undefined) {
      release()
      return
    }
    service.sender.push({ digest, piece, isStopped: false, isConfirmed: false, release })
    if (service.sender.blockedMs > slotMs) release()
  }

  #flushSoon(service: Service): void {
    if (service.isFlushing) return
    service.isFlushing = true
    if (this.#upload.isBusyWith(service.session.asker)) return
    const { background, clock } = this.#options
    background.start('updates', async (signal) => {
      // The first news after a while goes out at once.
      await clock.sleep(Math.max(0, service.flushedMs + flushMs - clock.now()), { signal })
      this.#flush(service)
    })
  }

  #flush(service: Service): void {
    service.isFlushing = false
    service.flushedMs = this.#options.clock.now()
    service.session.flush()
  }

  #tick(): void {
    if (this.#isTicking) return
    this.#isTicking = true
    const { background, clock } = this.#options
    background.start('serving', async (signal) => {
      while (this.#services.size > 0) {
        await clock.sleep(tickMs, { signal })
        for (const service of this.#services.values()) this.#check(service)
      }
      this.#isTicking = false
    })
  }

  #check(service: Service): void {
    const { session, sender } = service
    const nowMs = this.#options.clock.now()
    if (service.isFlushing && nowMs - service.flushedMs >= busyFlushMs) this.#flush(service)
    if (sender.blockedMs > slotMs) for (const job of sender.jobs()) job.release()
    sender.expire()
    // A lane may be dead while the channel is not; the asker then says what it wants again.
    if (sender.isDirect && sender.blockedMs > laneBlockedMs) sender.breakLane()
    if (sender.blockedMs > blockedMs) {
      this.#options.faults.add(session.peer, 'stalled')
      session.channel.abort(new ChannelBrokenError('the asker takes nothing'))
    }
    const isOwed = this.#upload.owesAlive(session.asker, nowMs) || sender.jobs().length > 0
    // Behind what waits already it would say nothing.
    if (isOwed && session.outbox.isEmpty && session.silentMs > aliveMs - 2 * tickMs) {
      session.say({ type: 'alive' })
    }
  }

  /** A loop of a channel: when it fails, so does the channel. */
  async #guard(loop: Promise<void>, channel: Channel, signal: AbortSignal): Promise<void> {
    try {
      await loop
    } catch (error) {
      if (signal.aborted) return
      channel.abort(
        error instanceof Error ? error : new ChannelBrokenError('sending failed', { cause: error }),
      )
    }
  }
}

/** Throws `MALFORMED`. */
function check(pieces: readonly number[], { size }: Holding): void {
  const { count } = layoutOf(size)
  const beyond = pieces.find((piece) => piece >= count)
  if (beyond !== undefined) throw new MalformedError(`piece ${beyond} of a blob that has ${count}`)
}

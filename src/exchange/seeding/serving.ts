/** The holder's side: answers askers, sends what the fairness among them grants, and looks again at what they call wrong. */
import type { Background, Clock, Logger, TokenBucket } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { type Channel, ChannelBrokenError, MalformedError, parsePeerId } from '../../wire/wire.ts'
import type { DirectLanes } from '../peer/direct-lanes.ts'
import type { Faults } from '../peer/faults.ts'
import type { Traffic } from '../peer/traffic.ts'
import { Upload, type UploadAction, type UploadEvent, type UploadLimits } from '../picker/upload.ts'
import { type Ask, aliveMs, decodeAsk, maxOthers } from '../protocol/messages.ts'
import { layoutOf } from '../protocol/piece-size.ts'
import { AskerSession, type ServedWant } from './asker-session.ts'
import type { Complaints } from './complaints.ts'
import { FramePool } from './frame-pool.ts'
import type { Holding, Holdings } from './holdings.ts'
import { giveList } from './list-giver.ts'
import type { PieceLists } from './piece-lists.ts'
import { PieceSender } from './piece-sender.ts'
import { UpdatePace } from './update-pace.ts'

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
  /** Whether the peer has said that it holds the piece: it need not be told who else does. */
  isWith(peer: string, digest: Digest, piece: number): boolean
  clock: Clock
  logger: Logger
}

interface Service {
  session: AskerSession
  sender: PieceSender
  pace: UpdatePace
  isOffering: boolean
}

const tickMs = 50
/** What waiting askers are told, all together: 40 messages a second, as long as each hears something every 400 ms. */
const messageMs = 25
const mostPaceMs = 2 * aliveMs
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

  /** What the peer was not told of the blob, as it had it, it may lack now. */
  retell(peer: string, digest: Digest): void {
    for (const { session } of this.#services.values()) if (session.peer === peer) session.retell(digest)
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
      onNews: () => pace.news(),
      isWith: (digest, piece) => this.#options.isWith(peer, digest, piece),
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
    const pace = new UpdatePace({
      background,
      clock,
      isBusy: () => this.#upload.isBusyWith(asker),
      busyMs: () => this.#paceMs,
      flush: () => session.flush(),
    })
    const service: Service = { session, sender, pace, isOffering: false }
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
      return giveList(session, want, from, this.#options)
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
  }

  #tick(): void {
    if (this.#isTicking) return
    this.#isTicking = true
    const { background, clock } = this.#options
    background.start('serving', async (signal) => {
      while (this.#services.size > 0) {
        await clock.sleep(tickMs, { signal })
        this.#feed({ type: 'wake' })
        for (const service of this.#services.values()) this.#check(service)
      }
      this.#isTicking = false
    })
  }

  /** How long a waiting asker hears nothing. */
  get #paceMs(): number {
    return Math.min(mostPaceMs, Math.max(aliveMs, messageMs * this.#services.size))
  }

  #check({ session, sender, pace }: Service): void {
    pace.check()
    // A lane may be dead while the channel is not; the asker then says what it wants again.
    if (sender.isDirect && sender.blockedMs > laneBlockedMs) sender.breakLane()
    if (sender.blockedMs > blockedMs) {
      this.#options.faults.add(session.peer, 'stalled')
      session.channel.abort(new ChannelBrokenError('the asker takes nothing'))
    }
    const isOwed = this.#upload.isBusyWith(session.asker) || sender.jobs().length > 0
    // Behind what waits already it would say nothing.
    if (isOwed && session.outbox.isEmpty && session.silentMs > this.#paceMs - tickMs) {
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

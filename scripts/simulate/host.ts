/** One simulated node: the real Download and Upload, with a simulated network between them and those of others. */
import {
  Bitfield,
  Download,
  type DownloadAction,
  type DownloadEvent,
  type DownloadLimits,
  type Layout,
  pieceLength,
  Upload,
  type UploadAction,
  type UploadEvent,
  type UploadLimits,
} from '../../src/exchange/exchange.ts'
import { type Network, overhead, type Port, type Transfer } from './network.ts'
import type { Timeline } from './timeline.ts'

export interface World {
  timeline: Timeline
  network: Network
  random: () => number
  /** By name. */
  layouts: Map<string, Layout>
  hosts: Map<string, Host>
  /** Blobs come from outside by one host: hashes are asked for as they come to be known. */
  isBrought: boolean
  wakeMs: number
  haveBatchMs: number
  downloadLimits: Partial<DownloadLimits>
  uploadLimits: Partial<UploadLimits>
  fetchesFar?: (host: Host, blob: string, piece: number) => boolean
  onComplete(host: Host, blob: string): void
}

interface Blob {
  download: Download | undefined
  held: Bitfield
  /** To be told to askers with the next update. */
  news: number[]
  finished: boolean
  /** This host brings it from outside. */
  isOrigin?: boolean
  /** How many hashes are known here, and whether more are being asked for. */
  known: number
  isLearning?: boolean
}

export class Host {
  readonly name: string
  readonly port: Port
  readonly neighbours = new Set<Host>()
  readonly #world: World
  readonly #upload: Upload
  readonly #blobs = new Map<string, Blob>()
  readonly #transfers = new Map<string, Transfer>()
  readonly #lanes = new Map<Host, { inFlight: number }>()
  messages = 0
  sentBytes = 0
  wastedBytes = 0

  constructor(world: World, name: string, port: Port) {
    this.#world = world
    this.name = name
    this.port = port
    this.#upload = new Upload(world.uploadLimits)
  }

  /** It has had the blob from the beginning. */
  give(blob: string): void {
    const held = Bitfield.full(this.#layout(blob).count)
    this.#blobs.set(blob, { download: undefined, held, news: [], finished: true, known: held.count })
  }

  /** It begins to bring the blob from outside. */
  bring(blob: string): void {
    const layout = this.#layout(blob)
    const { timeline, haveBatchMs } = this.#world
    const held = new Bitfield(layout.count)
    const mine: Blob = { download: undefined, held, news: [], finished: true, isOrigin: true, known: 0 }
    this.#blobs.set(blob, mine)
    const receive = (piece: number): void => {
      if (piece === layout.count) {
        mine.isOrigin = false
        return
      }
      const at = this.port.down.pass(pieceLength(layout, piece) * overhead, timeline.now)
      timeline.after(at - timeline.now, () => {
        held.add(piece)
        mine.known = piece + 1
        if (mine.news.push(piece) === 1) timeline.after(haveBatchMs, () => this.#tell(blob, mine))
        receive(piece + 1)
      })
    }
    receive(0)
  }

  fetch(blob: string, { reader = true } = {}): void {
    const { random, downloadLimits, fetchesFar, timeline, isBrought } = this.#world
    const layout = this.#layout(blob)
    const known = isBrought ? 0 : layout.count
    const download = new Download({
      layout,
      known,
      random,
      limits: downloadLimits,
      ...(fetchesFar === undefined ? {} : { fetchesFar: (piece: number) => fetchesFar(this, blob, piece) }),
    })
    this.#blobs.set(blob, { download, held: download.held, news: [], finished: false, known })
    if (reader) this.#down(blob, { type: 'readers', pieces: [0] })
    for (const neighbour of this.neighbours) {
      this.#ask(blob, neighbour)
      neighbour.#ask(blob, this)
    }
    timeline.after(this.#world.wakeMs * random(), () => this.#wake(blob))
  }

  connect(other: Host): void {
    this.neighbours.add(other)
    other.neighbours.add(this)
  }

  has(blob: string): number {
    return this.#blobs.get(blob)?.held.held ?? 0
  }

  /** It has the blob, or fetches it. */
  knows(blob: string): boolean {
    return this.#blobs.has(blob)
  }

  holds(blob: string, piece: number): boolean {
    return this.#blobs.get(blob)?.held.has(piece) ?? false
  }

  /** Without a word; its connections break, or stay open and silent. */
  kill({ silent = false } = {}): void {
    this.port.alive = false
    for (const neighbour of this.neighbours) {
      neighbour.neighbours.delete(this)
      if (!silent) this.#world.timeline.after(5, () => neighbour.#lose(this))
    }
  }

  #layout(blob: string): Layout {
    const layout = this.#world.layouts.get(blob)
    if (layout === undefined) throw new Error(`no blob ${blob}`)
    return layout
  }

  #lose(other: Host): void {
    for (const blob of this.#blobs.keys()) this.#down(blob, { type: 'left', peer: other.name })
    this.#up({ type: 'left', asker: other.name })
  }

  /** Opens a want to a neighbour, when it has or fetches the blob. */
  #ask(blob: string, other: Host): void {
    const mine = this.#blobs.get(blob)
    if (mine === undefined || mine.finished || !other.#blobs.has(blob)) return
    this.#send(other, () => {
      const theirs = other.#blobs.get(blob)
      if (theirs === undefined) return
      other.#up({
        type: 'want',
        asker: this.name,
        blob,
        held: theirs.held,
        isOrigin: theirs.isOrigin === true,
      })
      const held = Bitfield.copy(theirs.held)
      const near = other.port.site === this.port.site
      other.#send(this, () => {
        this.#down(blob, { type: 'peer', peer: other.name, held, near })
        this.#learn(blob, other)
      })
    })
  }

  #send(to: Host, deliver: () => void): void {
    if (!this.port.alive) return
    this.messages++
    this.#world.network.message(this.port, to.port, deliver)
  }

  #down(name: string, event: DownloadEvent): void {
    const blob = this.#blobs.get(name)
    if (blob?.download === undefined || blob.finished) return
    const actions = blob.download.handle(event, this.#world.timeline.now)
    for (const action of actions) this.#carryOutDown(name, action)
    if (blob.download.complete) this.#finish(name, blob)
  }

  #finish(name: string, blob: Blob): void {
    blob.finished = true
    for (const neighbour of this.neighbours) {
      if (!neighbour.#upload.askersOf(name).includes(this.name)) continue
      this.#send(neighbour, () => neighbour.#up({ type: 'done', asker: this.name, blob: name }))
    }
    this.#world.onComplete(this, name)
  }

  #up(event: UploadEvent): void {
    if (!this.port.alive) return
    for (const action of this.#upload.handle(event, this.#world.timeline.now)) this.#carryOutUp(action)
  }

  #carryOutDown(blob: string, action: DownloadAction): void {
    const peer = this.#world.hosts.get(action.peer)
    if (peer === undefined) return
    const asker = this.name
    if (action.type === 'request') {
      const { pieces, urgent } = action
      this.#send(peer, () => peer.#up({ type: 'request', asker, blob, pieces, urgent }))
    } else if (action.type === 'cancel') {
      const { pieces } = action
      this.#send(peer, () => peer.#up({ type: 'cancel', asker, blob, pieces }))
    } else if (action.type === 'drop') {
      this.#send(peer, () => peer.#up({ type: 'done', asker, blob }))
    }
  }

  #carryOutUp(action: UploadAction): void {
    const to = this.#world.hosts.get(action.asker)
    if (to === undefined) return
    const { blob } = action
    const peer = this.name
    if (action.type === 'later') {
      const { pieces, instead, retryAfterMs } = action
      this.#send(to, () => to.#down(blob, { type: 'later', peer, pieces, instead, retryAfterMs }))
    } else if (action.type === 'busy') {
      const { retryAfterMs } = action
      this.#send(to, () => to.#down(blob, { type: 'busy', peer, retryAfterMs }))
    } else if (action.type === 'stop') {
      const transfer = this.#transfers.get(`${action.asker} ${blob} ${action.piece}`)
      if (transfer !== undefined) this.#world.network.stop(transfer)
    } else this.#transmit(to, blob, action.piece)
  }

  #transmit(to: Host, blob: string, piece: number): void {
    const key = `${to.name} ${blob} ${piece}`
    const bytes = pieceLength(this.#layout(blob), piece)
    const lane = this.#lanes.get(to) ?? { inFlight: 0 }
    this.#lanes.set(to, lane)
    const transfer: Transfer = {
      from: this.port,
      to: to.port,
      bytes,
      left: bytes,
      lane,
      onSent: () => {
        this.sentBytes += bytes - transfer.left
        this.#transfers.delete(key)
        this.#up({ type: 'sent', asker: to.name, blob, piece })
      },
      onBytes: (count) => to.#down(blob, { type: 'bytes', peer: this.name, piece, bytes: count }),
      onArrived: () => to.#arrived(blob, piece, this, bytes),
    }
    this.#transfers.set(key, transfer)
    this.#world.network.send(transfer)
  }

  #arrived(name: string, piece: number, from: Host, bytes: number): void {
    const blob = this.#blobs.get(name)
    if (blob === undefined) return
    if (blob.held.has(piece)) {
      this.wastedBytes += bytes
      return
    }
    this.#down(name, { type: 'arrived', peer: from.name, piece })
    if (blob.news.push(piece) === 1)
      this.#world.timeline.after(this.#world.haveBatchMs, () => this.#tell(name, blob))
  }

  #tell(name: string, blob: Blob): void {
    const pieces = blob.news
    blob.news = []
    for (const asker of this.#upload.askersOf(name)) {
      const to = this.#world.hosts.get(asker)
      if (to === undefined) continue
      this.#send(to, () => {
        to.#down(name, { type: 'has', peer: this.name, pieces })
        to.#learn(name, this)
      })
    }
  }

  /** Asks who holds more than the list tells of how it goes on. */
  #learn(name: string, other: Host): void {
    const [mine, theirs] = [this.#blobs.get(name), other.#blobs.get(name)]
    if (mine?.download === undefined || theirs === undefined || mine.isLearning === true) return
    if (theirs.known <= mine.known) return
    mine.isLearning = true
    this.#send(other, () => {
      const { known } = theirs
      other.#send(this, () => {
        mine.isLearning = false
        mine.known = Math.max(mine.known, known)
        this.#down(name, { type: 'known', pieces: mine.known })
      })
    })
  }

  #wake(name: string): void {
    const blob = this.#blobs.get(name)
    if (blob === undefined || blob.finished || !this.port.alive) return
    for (const neighbour of this.neighbours) {
      // Signs of life are not sent as messages here; a holder owes them while it has requests waiting.
      if (neighbour.#upload.owesAlive(this.name, this.#world.timeline.now)) {
        this.#down(name, { type: 'alive', peer: neighbour.name })
      }
    }
    this.#down(name, { type: 'wake' })
    this.#world.timeline.after(this.#world.wakeMs, () => this.#wake(name))
  }
}

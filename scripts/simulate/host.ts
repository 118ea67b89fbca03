/** One simulated node: the real Download and Upload, with a simulated network between them and those of others. */
import { Download } from '../../src/exchange/picker/download.ts'
import type {
  DownloadAction,
  DownloadEvent,
  DownloadLimits,
} from '../../src/exchange/picker/download-events.ts'
import { maxNeighbours } from '../../src/exchange/picker/neighbourhood.ts'
import { Upload } from '../../src/exchange/picker/upload.ts'
import type { UploadAction, UploadEvent } from '../../src/exchange/picker/upload-events.ts'
import { Bitfield } from '../../src/exchange/protocol/bitfield.ts'
import { type Layout, pieceLength } from '../../src/exchange/protocol/piece-size.ts'
import { Circle } from './circle.ts'
import { type Network, overhead, type Port } from './network.ts'
import { Sendings } from './sendings.ts'
import { Tellings } from './tellings.ts'
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
  /** What is told to downloaders is told more rarely: for thousands of hosts. */
  isCoarse: boolean
  downloadLimits: Partial<DownloadLimits>
  /** Hosts know in which site others are. */
  knowsSites: boolean
  onComplete(host: Host, blob: string): void
}

interface Blob {
  download: Download | undefined
  held: Bitfield
  finished: boolean
  /** This host brings it from outside. */
  isOrigin?: boolean
  /** How many hashes are known here, and whether more are being asked for. */
  known: number
  isLearning?: boolean
  /** Whom it asks, while it fetches. */
  circle?: Circle<Host>
  /** Pieces, when it last looked. */
  heldBefore?: number
}

/** As in src/exchange/transfer/sources.ts. */
const turnPieces = 4

export class Host {
  readonly name: string
  readonly port: Port
  readonly neighbours = new Set<Host>()
  readonly #world: World
  readonly #upload: Upload
  readonly #blobs = new Map<string, Blob>()
  readonly #sendings: Sendings
  readonly #tellings: Tellings<Host>
  messages = 0
  sentBytes = 0
  receivedBytes = 0

  constructor(world: World, name: string, port: Port) {
    this.#world = world
    this.name = name
    this.port = port
    this.#upload = new Upload()
    this.#sendings = new Sendings({
      network: world.network,
      from: port,
      onSent: (name) => this.#up({ type: 'sent', ...name }),
    })
    this.#tellings = new Tellings<Host>({
      ...world,
      isAlive: () => this.port.alive,
      isBusyWith: (downloader) => this.#upload.isBusyWith(downloader.name),
      paceMs: () => this.#upload.paceMs,
      tell: (downloader, blob, pieces) => this.#tell(downloader, blob, pieces),
      sayAlive: (downloader) => {
        for (const blob of this.#blobs.keys()) {
          this.#send(downloader, () => downloader.#down(blob, { type: 'alive', peer: this.name }))
        }
      },
    })
    world.timeline.after(world.wakeMs * world.random(), () => this.#watch())
  }

  /** Looks now and then what takes too long. */
  #watch(): void {
    if (!this.port.alive) return
    this.#up({ type: 'wake' })
    this.#world.timeline.after(this.#world.wakeMs, () => this.#watch())
  }

  /** It has had the blob from the beginning. */
  give(blob: string): void {
    const held = Bitfield.full(this.#layout(blob).count)
    this.#blobs.set(blob, { download: undefined, held, finished: true, known: held.count })
  }

  /** It begins to bring the blob from outside. */
  bring(blob: string): void {
    const layout = this.#layout(blob)
    const { timeline } = this.#world
    const held = new Bitfield(layout.count)
    const mine: Blob = { download: undefined, held, finished: true, isOrigin: true, known: 0 }
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
        this.#news(blob, piece)
        receive(piece + 1)
      })
    }
    receive(0)
  }

  fetch(blob: string, { reader = true } = {}): void {
    const { random, downloadLimits, timeline, isBrought } = this.#world
    const layout = this.#layout(blob)
    const known = isBrought ? 0 : layout.count
    const download = new Download({
      layout,
      known,
      random,
      limits: downloadLimits,
      site: { self: this.name, blob, isFar: (name) => this.#isFar(name) },
    })
    const circle = new Circle<Host>({
      random,
      turnBytes: turnPieces * maxNeighbours * layout.pieceBytes,
      isComplete: (other) => other.has(blob) === layout.count,
      isFar: (other) => this.isFar(other),
      ask: (other) => this.#ask(blob, other),
      leave: (other) => {
        this.#send(other, () => other.#up({ type: 'done', downloader: this.name, blob }))
        this.#down(blob, { type: 'left', peer: other.name })
      },
    })
    this.#blobs.set(blob, { download, held: download.held, finished: false, known, circle })
    if (reader) this.#down(blob, { type: 'readers', pieces: [0] })
    const others = [...this.neighbours]
    const start = Math.floor(random() * others.length)
    for (const other of [...others.slice(start), ...others.slice(0, start)]) {
      if (!other.knows(blob)) continue
      circle.meet(other)
      other.#blobs.get(blob)?.circle?.meet(this)
      other.#tellFellows(blob)
    }
    this.#tellFellows(blob)
    timeline.after(this.#world.wakeMs * random(), () => this.#wake(blob))
  }

  isFar(other: Host): boolean {
    return this.#world.knowsSites && other.port.site !== this.port.site
  }

  #isFar(name: string): boolean {
    const other = this.#world.hosts.get(name)
    return other !== undefined && this.isFar(other)
  }

  /** Those of its site that fetch it, too, as far as it knows them. */
  #tellFellows(blob: string): void {
    if (!this.#world.knowsSites) return
    const fellows = [...this.neighbours].filter(
      (other) => !this.isFar(other) && other.#blobs.get(blob)?.finished === false,
    )
    this.#down(blob, { type: 'fellows', peers: fellows.map(({ name }) => name) })
  }

  connect(other: Host): void {
    this.neighbours.add(other)
    other.neighbours.add(this)
  }

  has(blob: string): number {
    return this.#blobs.get(blob)?.held.held ?? 0
  }

  /** Of all blobs, to within the last piece of each. */
  get heldBytes(): number {
    return [...this.#blobs].reduce((sum, [name, { held }]) => {
      const { size, count } = this.#layout(name)
      return sum + (size * held.held) / count
    }, 0)
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
    for (const [blob, { circle }] of this.#blobs) {
      this.#down(blob, { type: 'left', peer: other.name })
      circle?.lose(other)
      this.#tellFellows(blob)
    }
    this.#up({ type: 'left', downloader: other.name })
    this.#tellings.forget(other)
    this.#sendings.stopAll(other.port)
  }

  /** Opens a want to a neighbour, when it has or fetches the blob. */
  #ask(blob: string, other: Host): void {
    const mine = this.#blobs.get(blob)
    if (mine === undefined || mine.finished || !other.#blobs.has(blob)) return
    this.#send(other, () => {
      const theirs = other.#blobs.get(blob)
      if (theirs === undefined) return
      other.#wanted(blob, this.name)
      const isServed = other.#upload.downloadersOf(blob).includes(this.name)
      const held = Bitfield.copy(theirs.held)
      other.#send(this, () => {
        if (!isServed && mine.circle?.refused(other) === true) return
        this.#down(blob, { type: 'peer', peer: other.name, held })
        this.#learn(blob, other)
      })
    })
  }

  #wanted(blob: string, downloader: string): void {
    const mine = this.#blobs.get(blob)
    if (mine === undefined) return
    this.#up({ type: 'want', downloader, blob, held: mine.held, isOrigin: mine.isOrigin === true })
  }

  #send(to: Host, deliver: () => void): void {
    if (!this.port.alive) return
    this.messages++
    this.#tellings.spoke(to)
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
      if (!neighbour.#upload.downloadersOf(name).includes(this.name)) continue
      this.#send(neighbour, () => neighbour.#up({ type: 'done', downloader: this.name, blob: name }))
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
    const downloader = this.name
    if (action.type === 'request') {
      const { pieces, urgent } = action
      this.#send(peer, () => {
        // Told again each time, as nodes do: it may have had no place before.
        peer.#wanted(blob, downloader)
        peer.#up({ type: 'request', downloader, blob, pieces, urgent })
      })
    } else if (action.type === 'cancel') {
      const { pieces } = action
      this.#send(peer, () => peer.#up({ type: 'cancel', downloader, blob, pieces }))
    } else if (action.type === 'drop') {
      this.#send(peer, () => peer.#up({ type: 'done', downloader, blob }))
    }
  }

  #carryOutUp(action: UploadAction): void {
    const to = this.#world.hosts.get(action.downloader)
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
      this.#sendings.stop({ downloader: to.name, blob, piece: action.piece })
    } else this.#transmit(to, blob, action.piece)
  }

  #transmit(to: Host, blob: string, piece: number): void {
    const peer = this.name
    this.#tellings.begin(to)
    this.#sendings.begin(
      { downloader: to.name, blob, piece },
      to.port,
      pieceLength(this.#layout(blob), piece),
      {
        onWritten: () => this.#tellings.spoke(to),
        onBytes: (bytes, whole) => {
          this.sentBytes += bytes
          to.receivedBytes += bytes
          to.#down(blob, whole === 0 ? { type: 'alive', peer } : { type: 'bytes', peer, piece, bytes: whole })
        },
        onArrived: (confirm) => to.#arrived(blob, piece, this, confirm),
      },
    )
  }

  #arrived(name: string, piece: number, from: Host, confirm: () => void): void {
    const blob = this.#blobs.get(name)
    if (blob === undefined) return
    this.#send(from, confirm)
    blob.circle?.received(from, pieceLength(this.#layout(name), piece))
    if (blob.held.has(piece)) return
    this.#down(name, { type: 'arrived', peer: from.name, piece })
    this.#news(name, piece)
  }

  #news(blob: string, piece: number): void {
    for (const downloader of this.#upload.downloadersOf(blob)) {
      const to = this.#world.hosts.get(downloader)
      if (to !== undefined) this.#tellings.news(to, blob, piece)
    }
  }

  #tell(downloader: Host, blob: string, pieces: number[]): void {
    const lacking = pieces.filter((piece) => !downloader.holds(blob, piece))
    if (lacking.length === 0) return
    this.#send(downloader, () => {
      downloader.#down(blob, { type: 'has', peer: this.name, pieces: lacking })
      downloader.#learn(blob, this)
    })
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
    this.#down(name, { type: 'wake' })
    blob.circle?.check(this.#world.timeline.now, blob.held.held > (blob.heldBefore ?? -1))
    blob.heldBefore = blob.held.held
    this.#world.timeline.after(this.#world.wakeMs, () => this.#wake(name))
  }
}

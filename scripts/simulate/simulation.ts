/** Plays one scenario in virtual time: hosts join, leave and die, and the outcome is measured. */
import { type Layout, layoutOf } from '../../src/exchange/protocol/piece-size.ts'
import { Host, type World } from './host.ts'
import { introduce } from './neighbourhood.ts'
import { Link, Network, overhead, type Port } from './network.ts'
import { mebibyte, type Outcome, type Scenario } from './scenario.ts'
import { seededRandom, Timeline } from './timeline.ts'

const bitsPerMega = 1_000_000

export function simulate(scenario: Scenario): Outcome {
  return new Simulation(scenario).run()
}

class Simulation {
  readonly #scenario: Scenario
  readonly #timeline = new Timeline()
  readonly #random: () => number
  readonly #layouts: Map<string, Layout>
  readonly #total: number
  readonly #world: World
  readonly #sites: { index: number; out: Link; in: Link }[]
  readonly #hosts: Host[] = []
  readonly #holder: Host
  readonly #joined: Host[] = []
  readonly #startedMs = new Map<Host, number>()
  readonly #tookMs = new Map<Host, number>()
  /** Blobs that a host has still to begin with, and to finish. */
  readonly #waiting = new Map<Host, string[]>()
  readonly #missing = new Map<Host, number>()
  readonly #gone = new Set<Host>()
  #isHolderDead = false

  constructor(scenario: Scenario) {
    this.#scenario = scenario
    this.#random = seededRandom(scenario.seed ?? 1)
    this.#total = scenario.sizes.reduce((sum, size) => sum + size, 0)
    this.#layouts = new Map(scenario.sizes.map((size, at) => [`blob-${at}`, layoutOf(size)]))
    this.#world = this.#openWorld()
    const { count = 0, narrowMbps = 0 } = scenario.sites ?? {}
    const narrow = (): Link => new Link(narrowMbps * bitsPerMega)
    this.#sites = Array.from({ length: count }, (_, index) => ({ index, out: narrow(), in: narrow() }))
    for (let index = 0; index <= scenario.hosts + (scenario.lateMs === undefined ? 0 : 1); index++) {
      this.#hosts.push(this.#openHost(index))
    }
    this.#holder = at(this.#hosts, 0)
  }

  run(): Outcome {
    const startedAt = process.cpuUsage()
    for (const blob of this.#layouts.keys()) {
      if (this.#scenario.isBrought === true) this.#holder.bring(blob)
      else this.#holder.give(blob)
    }
    this.#joined.push(this.#holder)
    this.#planJoins()
    this.#planLeaving()
    if (this.#scenario.killHolder !== undefined) this.#timeline.after(500, () => this.#maybeKillHolder())
    const slowestMs = Math.max(...this.#hosts.map((host) => this.#boundMs(host)))
    this.#timeline.run({
      untilMs: slowestMs * 40 + 60_000,
      isOver: () =>
        this.#tookMs.size === this.#expected &&
        (this.#scenario.killHolder === undefined || this.#isHolderDead),
    })
    const used = process.cpuUsage(startedAt)
    return this.#outcome((used.user + used.system) / 1e6)
  }

  get #expected(): number {
    return this.#hosts.length - 1 - this.#gone.size
  }

  #openWorld(): World {
    const { messageQueueMs, coarse = false } = this.#scenario
    const timeline = this.#timeline
    const random = this.#random
    return {
      timeline,
      random,
      network: new Network({
        timeline,
        random,
        latencyMs: 2,
        farLatencyMs: 20,
        frameBytes: coarse ? 16 * mebibyte : 16 * 1024,
        socketBytes: 128 * 1024,
        leastWindowBytes: coarse ? 512 * 1024 : 16 * 1024,
        windowBytes: coarse ? 2 * mebibyte : 128 * 1024,
        ...(messageQueueMs === undefined ? {} : { messageQueueMs }),
      }),
      layouts: this.#layouts,
      hosts: new Map(),
      isBrought: this.#scenario.isBrought === true,
      wakeMs: coarse ? 250 : 100,
      isCoarse: coarse,
      knowsSites: this.#scenario.sites?.aware === true,
      // Coarse frames are no signs of life.
      downloadLimits: coarse ? { silentMs: 1e9, deadMs: 1e9 } : {},
      onComplete: (host) => this.#onComplete(host),
    }
  }

  #openHost(index: number): Host {
    const { up, down } = this.#links(index)
    const port: Port = {
      up: new Link(up * bitsPerMega),
      down: new Link(down * bitsPerMega),
      site: this.#sites[index % Math.max(1, this.#sites.length)],
      alive: true,
      restPhase: (index * 0.618) % 1,
    }
    const host = new Host(this.#world, `host-${index}`, port)
    this.#world.hosts.set(host.name, host)
    return host
  }

  #links(index: number): { up: number; down: number } {
    const { links } = this.#scenario
    const first = at(links, 0)
    if (index === 0) return first
    let left = this.#random() * links.reduce((sum, { share }) => sum + share, 0)
    for (const link of links) {
      left -= link.share
      if (left < 0) return link
    }
    return first
  }

  #planJoins(): void {
    const { lateMs, spreadMs = 50 } = this.#scenario
    for (const host of this.#hosts) {
      if (host === this.#holder) continue
      const isLate = host === this.#late
      this.#timeline.after(isLate ? (lateMs ?? 0) : this.#random() * spreadMs, () => this.#join(host))
    }
  }

  get #late(): Host | undefined {
    return this.#scenario.lateMs === undefined ? undefined : this.#hosts.at(-1)
  }

  #join(host: Host): void {
    introduce(host, this.#joined, this.#scenario, this.#random)
    this.#joined.push(host)
    this.#startedMs.set(host, this.#timeline.now)
    this.#waiting.set(host, [...this.#layouts.keys()])
    this.#missing.set(host, this.#layouts.size)
    for (let slot = 0; slot < (this.#scenario.parallel ?? 1); slot++) this.#next(host)
  }

  #next(host: Host): void {
    const blob = this.#waiting.get(host)?.shift()
    if (blob !== undefined) host.fetch(blob)
  }

  #onComplete(host: Host): void {
    const missing = (this.#missing.get(host) ?? 1) - 1
    this.#missing.set(host, missing)
    if (missing > 0) this.#next(host)
    else this.#tookMs.set(host, this.#timeline.now - (this.#startedMs.get(host) ?? 0))
  }

  /** What a host needs at least: all bytes over its own downlink, or over the first holder's uplink if that is slower. */
  #boundMs({ port }: Host): number {
    return this.#total / Math.min(port.down.bytesPerMs, this.#holder.port.up.bytesPerMs)
  }

  #planLeaving(): void {
    const { churn = 0, spreadMs = 50 } = this.#scenario
    for (const host of this.#hosts.slice(1)) {
      if (this.#random() >= churn) continue
      this.#timeline.after(spreadMs + this.#random() * this.#boundMs(host), () => {
        if (this.#tookMs.has(host)) return
        this.#gone.add(host)
        host.kill()
      })
    }
  }

  /** As soon as the others have each piece at least once. */
  #maybeKillHolder(): void {
    const others = this.#joined.filter((host) => host !== this.#holder)
    const isSpread = [...this.#layouts].every(([blob, { count }]) =>
      Array.from({ length: count }, (_, piece) => piece).every((piece) =>
        others.some((host) => host.holds(blob, piece)),
      ),
    )
    if (!isSpread) {
      this.#timeline.after(50, () => this.#maybeKillHolder())
      return
    }
    this.#isHolderDead = true
    this.#holder.kill({ silent: this.#scenario.killHolder === 'silent' })
  }

  #outcome(cpuSeconds: number): Outcome {
    const { name, hosts } = this.#scenario
    const late = this.#late
    const lateMs = late === undefined ? undefined : this.#tookMs.get(late)
    const factors = [...this.#tookMs]
      .filter(([host]) => host !== late)
      .map(([host, ms]) => ms / this.#boundMs(host))
      .sort((a, b) => a - b)
    const narrow = this.#sites
      .filter(({ index }) => index !== this.#holder.port.site?.index)
      .map((site) => site.in.bytes / overhead / this.#total)
    const sum = (of: (host: Host) => number): number =>
      this.#hosts.reduce((total, host) => total + of(host), 0)
    const received = sum((host) => (host === this.#holder ? 0 : host.heldBytes))
    return {
      name,
      hosts,
      finished: this.#tookMs.size,
      expected: this.#expected,
      slowest: factors.at(-1) ?? Number.NaN,
      median: factors[factors.length >> 1] ?? Number.NaN,
      factors,
      holderCopies: this.#holder.sentBytes / this.#total,
      wasted: (sum((host) => host.receivedBytes) - received) / this.#total / hosts,
      messagesPerHost: sum((host) => host.messages) / this.#hosts.length,
      copiesPerSite:
        narrow.length === 0
          ? undefined
          : {
              mean: narrow.reduce((all, copies) => all + copies, 0) / narrow.length,
              most: Math.max(...narrow),
            },
      lateFactor: late === undefined || lateMs === undefined ? undefined : lateMs / this.#boundMs(late),
      events: this.#timeline.events,
      cpuSeconds,
    }
  }
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index]
  if (found === undefined) throw new RangeError(`nothing at ${index} of ${list.length}`)
  return found
}

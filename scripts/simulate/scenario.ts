/** One simulated fetch: who joins when, over which links, and what goes wrong; and what it came to. */
import { type DownloadLimits, layoutOf, type UploadLimits } from '../../src/exchange/exchange.ts'
import { Host, type World } from './host.ts'
import { Link, Network, type Port } from './network.ts'
import { seededRandom, Timeline } from './timeline.ts'

const mega = 1_000_000
export const mebibyte = 1024 * 1024

export interface Scenario {
  name: string
  hosts: number
  /** One blob for each. */
  sizes: number[]
  /** How many of them a host fetches at once. */
  parallel?: number
  /** Links in Mbit/s, and what share of the hosts has them; the first holder has the first. */
  links: { up: number; down: number; share: number }[]
  latencyMs?: number
  /** Other hosts that one knows at most; default all. */
  neighbours?: number
  /** Hosts start within this time. */
  spreadMs?: number
  /** One more host starts now. */
  lateMs?: number
  /** The share of hosts that leaves while it downloads. */
  churn?: number
  /** The first holder dies when the others have each piece at least once. */
  killHolder?: 'closed' | 'silent'
  sites?: { count: number; narrowMbps: number; aware: boolean; gateways?: number }
  /** Coarse: whole pieces as frames, rarer wakes and updates. For thousands of hosts. */
  coarse?: boolean
  seed?: number
  uploadLimits?: Partial<UploadLimits>
  downloadLimits?: Partial<DownloadLimits>
  pieceBytes?: number
}

export interface Outcome {
  name: string
  hosts: number
  finished: number
  expected: number
  /** Time over the host's own bound, size over its downlink or that of the holder's uplink if it is slower. */
  slowest: number
  median: number
  /** Of all hosts, in order: time over bound. */
  factors: number[]
  holderCopies: number
  /** Bytes that arrived twice, over the bytes needed. */
  wasted: number
  messagesPerHost: number
  /** Copies that came into a site over its narrow link: mean over the sites without the first holder, and the most. */
  copiesPerSite: { mean: number; most: number } | undefined
  lateFactor: number | undefined
  events: number
  cpuSeconds: number
}

export function simulate(scenario: Scenario): Outcome {
  const startedAt = process.cpuUsage()
  const random = seededRandom(scenario.seed ?? 1)
  const timeline = new Timeline()
  const coarse = scenario.coarse ?? false
  const total = scenario.sizes.reduce((sum, size) => sum + size, 0)
  const blobs = scenario.sizes.map((_, index) => `blob-${index}`)
  const layouts = new Map(
    scenario.sizes.map((size, index) => {
      const layout = layoutOf(size)
      const pieceBytes = scenario.pieceBytes ?? layout.pieceBytes
      return [`blob-${index}`, { size, pieceBytes, count: Math.ceil(size / pieceBytes) }]
    }),
  )
  const network = new Network({
    timeline,
    random,
    latencyMs: scenario.latencyMs ?? 2,
    farLatencyMs: 20,
    frameBytes: coarse ? 16 * mebibyte : 64 * 1024,
    windowBytes: coarse ? 2 * mebibyte : 512 * 1024,
    messageQueueMs: 30,
  })
  const hosts = new Map<string, Host>()
  const started = new Map<Host, number>()
  const times = new Map<Host, number>()
  const queues = new Map<Host, string[]>()
  const pending = new Map<Host, number>()
  const gone = new Set<Host>()
  let killed = false
  const world: World = {
    timeline,
    network,
    random,
    layouts,
    hosts,
    wakeMs: coarse ? 250 : 100,
    haveBatchMs: coarse ? 100 : 10,
    downloadLimits: { ...(coarse ? { silentMs: 1e9, deadMs: 1e9 } : {}), ...scenario.downloadLimits },
    uploadLimits: scenario.uploadLimits ?? {},
    onComplete(host) {
      const left = (pending.get(host) ?? 1) - 1
      pending.set(host, left)
      if (left === 0) times.set(host, timeline.now - (started.get(host) ?? 0))
      else next(host)
    },
  }
  const { sites } = scenario
  const siteLinks = Array.from({ length: sites?.count ?? 0 }, (_, index) => ({
    index,
    out: new Link((sites?.narrowMbps ?? 0) * mega),
    in: new Link((sites?.narrowMbps ?? 0) * mega),
  }))
  const linkOf = (index: number): { up: number; down: number } => {
    if (index === 0) return scenario.links[0] ?? { up: 50, down: 50 }
    let at = random() * scenario.links.reduce((sum, { share }) => sum + share, 0)
    for (const link of scenario.links) {
      at -= link.share
      if (at < 0) return link
    }
    return scenario.links[0] ?? { up: 50, down: 50 }
  }
  const all: Host[] = []
  for (let index = 0; index <= scenario.hosts + (scenario.lateMs === undefined ? 0 : 1); index++) {
    const { up, down } = linkOf(index)
    const site = siteLinks[index % Math.max(1, siteLinks.length)]
    const port: Port = { up: new Link(up * mega), down: new Link(down * mega), site, alive: true }
    const host = new Host(world, `host-${index}`, port)
    hosts.set(host.name, host)
    all.push(host)
  }
  const holder = all[0]
  if (holder === undefined) throw new Error('no hosts')
  for (const blob of blobs) holder.give(blob)
  if (sites?.aware) world.fetchesFar = gatewayRule(all, sites.gateways ?? 2)

  const next = (host: Host): void => {
    const queue = queues.get(host) ?? []
    const blob = queue.shift()
    if (blob !== undefined) host.fetch(blob)
  }
  const joined: Host[] = [holder]
  const join = (host: Host): void => {
    introduce(host, joined, scenario, random)
    joined.push(host)
    started.set(host, timeline.now)
    queues.set(host, [...blobs])
    pending.set(host, blobs.length)
    for (let slot = 0; slot < (scenario.parallel ?? 1); slot++) next(host)
  }
  const spreadMs = scenario.spreadMs ?? 50
  for (const [index, host] of all.entries()) {
    if (index === 0) continue
    const late = scenario.lateMs !== undefined && index === all.length - 1
    timeline.after(late ? (scenario.lateMs ?? 0) : random() * spreadMs, () => join(host))
  }
  const slowestDown = Math.min(...scenario.links.map(({ down }) => down))
  const boundOf = (host: Host): number => {
    const rate = Math.min(host.port.down.bytesPerMs, holder.port.up.bytesPerMs)
    return total / rate
  }
  if (scenario.churn !== undefined) {
    const leavers = all.slice(1).filter(() => random() < (scenario.churn ?? 0))
    for (const host of leavers) {
      timeline.after(spreadMs + random() * boundOf(host), () => {
        if (times.has(host)) return
        gone.add(host)
        host.kill()
      })
    }
  }
  if (scenario.killHolder !== undefined) {
    const check = (): void => {
      const everything = blobs.every((blob) => {
        const count = layouts.get(blob)?.count ?? 0
        return Array.from({ length: count }, (_, piece) => piece).every((piece) =>
          joined.some((host) => host !== holder && host.holds(blob, piece)),
        )
      })
      if (everything) {
        killed = true
        holder.kill({ silent: scenario.killHolder === 'silent' })
      } else timeline.after(50, check)
    }
    timeline.after(500, check)
  }
  const expected = (): number => all.length - 1 - gone.size
  timeline.run({
    untilMs: (total / ((slowestDown * mega) / 8000)) * 40 + 60_000,
    isOver: () => times.size === expected() && (scenario.killHolder === undefined || killed),
  })

  const lateHost = scenario.lateMs === undefined ? undefined : all[all.length - 1]
  const finished = [...times].filter(([host]) => host !== lateHost && !gone.has(host))
  const factors = finished.map(([host, ms]) => ms / boundOf(host)).sort((a, b) => a - b)
  const late = lateHost === undefined ? undefined : times.get(lateHost)
  const narrow = siteLinks
    .filter(({ index }) => index !== holder.port.site?.index)
    .map((site) => site.in.bytes / 1.045 / total)
  const cpu = process.cpuUsage(startedAt)
  return {
    name: scenario.name,
    hosts: scenario.hosts,
    finished: times.size,
    expected: expected(),
    slowest: factors.at(-1) ?? Number.NaN,
    median: factors[factors.length >> 1] ?? Number.NaN,
    factors,
    holderCopies: holder.sentBytes / total,
    wasted: all.reduce((sum, host) => sum + host.wastedBytes, 0) / total / scenario.hosts,
    messagesPerHost: all.reduce((sum, host) => sum + host.messages, 0) / all.length,
    copiesPerSite:
      narrow.length === 0
        ? undefined
        : {
            mean: narrow.reduce((sum, copies) => sum + copies, 0) / narrow.length,
            most: Math.max(...narrow),
          },
    lateFactor: late === undefined || lateHost === undefined ? undefined : late / boundOf(lateHost),
    events: timeline.events,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
  }
}

/** Connects a newcomer to some that are there: when sites are known, to its own site, and the candidates to those of others. */
function introduce(host: Host, joined: readonly Host[], scenario: Scenario, random: () => number): void {
  const { sites, neighbours: most } = scenario
  if (most === undefined) {
    for (const other of joined) host.connect(other)
    return
  }
  const aware = sites?.aware === true
  const near = aware ? joined.filter((other) => other.port.site === host.port.site) : joined
  const wanted = Math.min(near.length, most >> 1)
  for (let tries = 0; host.neighbours.size < wanted && tries < wanted * 8; tries++) {
    const other = near[Math.floor(random() * near.length)]
    if (other !== undefined && other.neighbours.size < most && other.port.alive) host.connect(other)
  }
  const isCandidate = (other: Host): boolean => Number(other.name.slice(5)) < (sites?.count ?? 0) * candidates
  if (!aware || !isCandidate(host)) return
  for (const other of joined)
    if (other.port.site !== host.port.site && isCandidate(other)) host.connect(other)
}

/** Hosts of each site that know those of other sites. */
const candidates = 4

/**
 * In each site the hosts that come first in an order that all of them know fetch from other sites, each a share of the pieces;
 * when one is gone, the next takes its place.
 */
function gatewayRule(
  all: readonly Host[],
  gateways: number,
): (host: Host, blob: string, piece: number) => boolean {
  const bySite = Map.groupBy(all, (host) => host.port.site)
  return (host, blob, piece) => {
    const elected: Host[] = []
    for (const other of bySite.get(host.port.site) ?? []) {
      if (other.port.alive && other.knows(blob)) elected.push(other)
      if (elected.length === gateways) break
    }
    return elected[piece % elected.length] === host
  }
}

/** Who knows whom, and who fetches over a narrow link. */
import type { Host } from './host.ts'
import type { Scenario } from './scenario.ts'

/** Connects a newcomer to some that are there: when sites are known, to its own site, and the candidates to those of others. */
export function introduce(
  host: Host,
  joined: readonly Host[],
  scenario: Scenario,
  random: () => number,
): void {
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
export function gatewayRule(
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

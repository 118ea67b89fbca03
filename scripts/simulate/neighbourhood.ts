/** Who knows whom. */
import type { Host } from './host.ts'
import type { Scenario } from './scenario.ts'

/** Of the hosts that one knows, in other sites, when sites are known. */
const farShare = 0.25

/** Connects a newcomer to some that are there: when sites are known, mostly to those of its own. */
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
  if (sites?.aware !== true) {
    meet(host, joined, { most, wanted: most >> 1 }, random)
    return
  }
  const wantedFar = Math.round((most >> 1) * farShare)
  meet(
    host,
    joined.filter((other) => other.isFar(host)),
    { most, wanted: wantedFar },
    random,
  )
  const near = joined.filter((other) => !other.isFar(host))
  meet(host, near, { most, wanted: (most >> 1) - wantedFar }, random)
}

function meet(
  host: Host,
  others: readonly Host[],
  { most, wanted }: { most: number; wanted: number },
  random: () => number,
): void {
  const enough = host.neighbours.size + Math.min(others.length, wanted)
  for (let tries = 0; host.neighbours.size < enough && tries < wanted * 8; tries++) {
    const other = others[Math.floor(random() * others.length)]
    if (other !== undefined && other.neighbours.size < most && other.port.alive) host.connect(other)
  }
}

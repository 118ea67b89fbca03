/** The simulated fetches: what a bench on one machine can repeat, and what it cannot. */
import { mebibyte, type Scenario } from './scenario.ts'

export const groups = ['links', 'small', 'thousand', 'ten-thousand'] as const
export type Group = (typeof groups)[number]

const even = (mbps: number): Scenario['links'] => [{ up: mbps, down: mbps, share: 1 }]
/** Half at 100 Mbit/s, a third of them with a quarter of it upwards, and some ten times as fast. */
const mixed: Scenario['links'] = [
  { up: 100, down: 100, share: 0.5 },
  { up: 25, down: 100, share: 0.3 },
  { up: 1000, down: 1000, share: 0.2 },
]
const sites = { count: 10, narrowMbps: 100, aware: true }

const eight: Scenario = {
  name: '8 hosts, 64 MiB, 50 Mbit/s',
  hosts: 8,
  sizes: [64 * mebibyte],
  links: even(50),
}

/** The rows of `npm run bench:swarm`. */
const links = [
  [8, 4, 16],
  [24, 8, 16],
  [47, 4, 16],
  [8, 25, 64],
  [8, 100, 64],
  [8, 1000, 256],
].map(([hosts = 0, mbps = 0, mebibytes = 0]) => ({
  group: 'links' as const,
  name: `${hosts} hosts, ${mebibytes} MiB, ${mbps.toLocaleString('en')} Mbit/s`,
  hosts,
  sizes: [mebibytes * mebibyte],
  links: even(mbps),
}))

function many(hosts: number, mebibytes: number): Omit<Scenario, 'name' | 'links'> {
  return {
    hosts,
    sizes: [mebibytes * mebibyte],
    neighbours: hosts > 1000 ? 24 : 40,
    spreadMs: 1000,
    coarse: true,
  }
}

export const scenarios: (Scenario & { group: Group })[] = [
  ...links,
  { group: 'small', ...eight },
  {
    group: 'small',
    ...eight,
    name: '8 hosts, 4 layers of 16 MiB, 3 at a time',
    sizes: [16, 16, 16, 16].map((size) => size * mebibyte),
    parallel: 3,
  },
  {
    group: 'small',
    name: '16 hosts, 32 MiB, 25 Mbit/s',
    hosts: 16,
    sizes: [32 * mebibyte],
    links: even(25),
  },
  { group: 'small', ...eight, name: '8 hosts, one more after 10 s', lateMs: 10_000 },
  { group: 'small', ...eight, name: '8 hosts, the holder dies', killHolder: 'closed' },
  { group: 'small', ...eight, name: '8 hosts, the holder falls silent', killHolder: 'silent' },
  {
    group: 'small',
    ...eight,
    name: '8 hosts in two sites, 5 Mbit/s between them, 16 MiB',
    hosts: 7,
    sizes: [16 * mebibyte],
    sites: { count: 2, narrowMbps: 5, aware: true },
  },
  {
    group: 'small',
    ...many(100, 32),
    name: '100 hosts in 5 sites, 50 Mbit/s between them, who know 64 others',
    neighbours: 64,
    links: even(50),
    sites: { count: 5, narrowMbps: 50, aware: true },
  },
  { group: 'thousand', ...many(100, 32), name: '100 hosts, 32 MiB, 100 Mbit/s', links: even(100) },
  { group: 'thousand', ...many(1000, 32), name: '1,000 hosts, 32 MiB, 100 Mbit/s', links: even(100) },
  { group: 'thousand', ...many(100, 2048), name: '100 hosts, 2 GiB, 100 Mbit/s', links: even(100) },
  { group: 'thousand', ...many(1000, 32), name: '1,000 hosts, mixed links', links: mixed },
  { group: 'thousand', ...many(1000, 32), name: '1,000 hosts, 10 % leave', links: even(100), churn: 0.1 },
  { group: 'thousand', ...many(1000, 32), name: '1,000 hosts in 10 sites', links: even(100), sites },
  {
    group: 'thousand',
    ...many(200, 32),
    name: '200 hosts in 10 sites that nobody knows of',
    links: even(100),
    sites: { ...sites, aware: false },
  },
  { group: 'ten-thousand', ...many(10_000, 16), name: '10,000 hosts, 16 MiB, 100 Mbit/s', links: even(100) },
  {
    group: 'ten-thousand',
    ...many(10_000, 16),
    name: '10,000 hosts, mixed links, 10 % leave, 20 sites',
    links: mixed,
    churn: 0.1,
    sites: { ...sites, count: 20 },
  },
]

/** Whether this node has any way to find the members of its cluster. */
import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { type Check, type Finding, fault, isRefusal, note } from './check.ts'

export interface DiscoveryFacts {
  looksByMdns: boolean
  /** Interfaces besides loopback that are up with an address. */
  interfaces: string[]
  /** Whether packets to 224.0.0.251 have a way out; `undefined` where the system does not tell. */
  hasMulticastRoute: boolean | undefined
  /** Addresses to start from, and members known from before. */
  known: number
  connected: number
  /** False for a node that started its cluster: nobody has to be there. */
  hasJoined: boolean
}

export function judgeDiscovery(facts: DiscoveryFacts): Finding[] {
  if (facts.connected > 0) return []
  const hindrance = findHindrance(facts)
  if (hindrance === undefined) return []
  return [
    facts.hasJoined ? fault(hindrance.found, hindrance.advice) : note(hindrance.found, hindrance.advice),
  ]
}

function findHindrance({ looksByMdns, interfaces, hasMulticastRoute, known }: DiscoveryFacts) {
  const [first] = interfaces
  if (first === undefined) {
    return {
      found: 'this host has no network besides loopback, so no member can be found',
      advice: 'bring an interface up (ip link, ip address)',
    }
  }
  if (known > 0) return undefined
  const advice = 'give the address of a member: shoal serve --bootstrap /ip4/ADDRESS/tcp/5001'
  if (!looksByMdns) {
    return {
      found: 'members are not looked for (--no-mdns), and no address of one is known',
      advice: `${advice}; or leave out --no-mdns`,
    }
  }
  if (hasMulticastRoute !== false) return undefined
  return {
    found:
      'mDNS cannot find members: this host has no default route, so multicast has no way out, and no address of a member is known',
    advice: `${advice}; or add a route: ip route add 224.0.0.0/4 dev ${first}`,
  }
}

/** The text of /proc/net/route: addresses in hexadecimal, the last byte first. */
export function parseMulticastRoute(text: string): boolean {
  return text
    .split('\n')
    .slice(1)
    .some((line) => {
      const [name, destination = '', , flags = '', , , , mask = ''] = line.trim().split(/\s+/)
      const isUp = (Number.parseInt(flags, 16) & 1) === 1
      if (name === undefined || name === 'lo' || !isUp) return false
      const [to, of] = [numberOf(destination), numberOf(mask)]
      return (mdnsGroup & of) >>> 0 === to
    })
}

/** 224.0.0.251 */
const mdnsGroup = 0xe00000fb

function numberOf(hex: string): number {
  return /^[0-9A-F]{8}$/i.test(hex) ? Buffer.from(hex, 'hex').readUInt32LE() : Number.NaN
}

export const discovery: Check = {
  name: 'discovery',
  async examine({ node }) {
    if (node === undefined) return []
    const { reach, status } = node
    return judgeDiscovery({
      looksByMdns: reach.looksByMdns,
      interfaces: listInterfaces(),
      hasMulticastRoute: await findMulticastRoute(),
      known: reach.known.length + reach.bootstrap.length,
      connected: status.cluster.members.length,
      hasJoined: !status.cluster.holdsAuthority,
    })
  },
}

function listInterfaces(): string[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.some(({ internal }) => !internal) ? [name] : [],
  )
}

async function findMulticastRoute(): Promise<boolean | undefined> {
  try {
    return parseMulticastRoute(await readFile('/proc/net/route', 'utf8'))
  } catch (error) {
    if (isRefusal(error, 'ENOENT', 'EACCES')) return undefined
    throw error
  }
}

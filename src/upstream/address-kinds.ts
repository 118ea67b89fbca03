/** Which kind of network an address belongs to: an upstream may send this node to public ones, and to those of its own kind. */
import { BlockList, isIP, isIPv4 } from 'node:net'

/** `reserved` addresses are nobody's: unspecified, multicast, for documentation, and the like. */
export type AddressKind = 'public' | 'private' | 'loopback' | 'link-local' | 'reserved'

const subnets: [Exclude<AddressKind, 'public'>, string[]][] = [
  ['loopback', ['127.0.0.0/8', '::1/128']],
  ['link-local', ['169.254.0.0/16', 'fe80::/10']],
  // Carrier-grade NAT, benchmarks, unique local and local-use NAT64 addresses are somebody's inside too.
  [
    'private',
    [
      '10.0.0.0/8',
      '172.16.0.0/12',
      '192.168.0.0/16',
      '100.64.0.0/10',
      '198.18.0.0/15',
      'fc00::/7',
      'fec0::/10',
      '64:ff9b:1::/48',
    ],
  ],
  [
    'reserved',
    [
      '0.0.0.0/8',
      '192.0.0.0/24',
      '192.0.2.0/24',
      '192.88.99.0/24',
      '198.51.100.0/24',
      '203.0.113.0/24',
      '224.0.0.0/3',
      '::/128',
      '100::/64',
      // Teredo hides an IPv4 address behind a mask; nobody runs a registry there.
      '2001::/32',
      '2001:db8::/32',
      'ff00::/8',
    ],
  ],
]

const kinds = subnets.map(([kind, networks]) => {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits] = network.split('/')
    list.addSubnet(address, Number(bits), isIPv4(address) ? 'ipv4' : 'ipv6')
  }
  return { kind, list }
})

/** An address that is none is reserved: nothing may be sent there. */
export function kindOfAddress(text: string): AddressKind {
  const address = text.replace(/%.*$/, '')
  const version = isIP(address)
  if (version === 0) return 'reserved'
  const inner = version === 6 ? embeddedIpv4(address) : address
  if (inner !== undefined) return kindIn(inner, 'ipv4')
  return kindIn(address, 'ipv6')
}

/** The kind of a host that says so itself: an address, or a name of this host. `undefined` for all other names. */
export function kindOfHost(hostname: string): AddressKind | undefined {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
  if (isIP(bare) !== 0) return kindOfAddress(bare)
  return /(?:^|\.)localhost$/i.test(bare) ? 'loopback' : undefined
}

function kindIn(address: string, family: 'ipv4' | 'ipv6'): AddressKind {
  return kinds.find(({ list }) => list.check(address, family))?.kind ?? 'public'
}

/** The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64 (RFC 6052) or 6to4 (RFC 3056). */
function embeddedIpv4(address: string): string | undefined {
  const groups = groupsOf(address)
  const isZero = (from: number, to: number) => groups.slice(from, to).every((group) => group === 0)
  const mapped = isZero(0, 5) && groups[5] === 0xffff
  // ::1 and :: are addresses of IPv6 itself.
  const compatible = isZero(0, 6) && groups[6] !== 0
  const nat64 = groups[0] === 0x64 && groups[1] === 0xff9b && isZero(2, 6)
  if (mapped || compatible || nat64) return dotted(groups[6], groups[7])
  return groups[0] === 0x2002 ? dotted(groups[1], groups[2]) : undefined
}

function dotted(high = 0, low = 0): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

/** The eight numbers of an IPv6 address. */
function groupsOf(address: string): number[] {
  // The URL parser writes every form, one with dots too, as hexadecimal groups.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const numbers = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  if (tail === undefined) return numbers(head)
  const missing = 8 - numbers(head).length - numbers(tail).length
  return [...numbers(head), ...Array<number>(missing).fill(0), ...numbers(tail)]
}

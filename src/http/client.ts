/** Who asks, as far as that can be told: requests of the same client are counted together. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'

/** The address; of IPv6 the network, since one host has as many addresses in it as it likes. */
export function clientOf({ socket }: IncomingMessage): string {
  const address = socket.remoteAddress ?? ''
  const [plain = ''] = address.split('%')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1]
  if (mapped !== undefined || !isIPv6(plain)) return mapped ?? address
  const [head = '', tail] = plain.split('::')
  const first = head === '' ? [] : head.split(':')
  const last = tail === undefined || tail === '' ? [] : tail.split(':')
  const gap = tail === undefined ? 0 : 8 - first.length - last.length
  const groups = [...first, ...Array.from({ length: gap }, () => '0'), ...last]
  return `${groups.slice(0, 4).join(':')}::/64`
}

/** Whether it is docker, or made of containers/image: those show credentials only where `/v2/` asks for them. */
export function decidesByVersionCheck(headers: IncomingHttpHeaders): boolean {
  return (
    isDocker(headers) ||
    /^(?:containers|skopeo|libpod|podman|buildah|cri-o)\//i.test(headers['user-agent'] ?? '')
  )
}

export function isDocker({ 'user-agent': agent = '' }: IncomingHttpHeaders): boolean {
  return /^docker\//i.test(agent)
}

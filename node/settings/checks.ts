/** What no kind of value can see by itself: whether a setting fits the others, and this host. */
import type { UpstreamSetting } from './upstream.ts'
import { UsageError } from './usage-error.ts'

/** A Unix socket's path has room for 107 bytes, and the node's lies in its data directory. */
const maxDataPathBytes = 90

export function checkDataPath(data: string): void {
  if (Buffer.byteLength(data) <= maxDataPathBytes) return
  throw new UsageError(
    `--data: ${data} is longer than the ${maxDataPathBytes} bytes that leave room for the socket in it; choose a shorter path`,
  )
}

export function checkUpstreamNames(upstreams: UpstreamSetting[]): void {
  const twice = upstreams.find(
    ({ name }, index) => upstreams.findIndex((other) => other.name === name) < index,
  )
  if (twice !== undefined) throw new UsageError(`--upstream: ${twice.name} is given twice`)
}

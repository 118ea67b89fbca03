/** What nodes tell of the pieces that they moved. */
import type { Node } from '../cluster/nodes.ts'

export interface Traffic {
  sentBytes: number
  receivedBytes: number
  /** By kind. */
  faults: Map<string, number>
}

export async function readTraffic(nodes: readonly Node[]): Promise<Traffic[]> {
  return await Promise.all(
    nodes.map(async (node) => {
      const text = (await node.get('/metrics')).body.toString()
      const total = (name: string): number => {
        const series = [...text.matchAll(new RegExp(`^${name}\\{.*\\} (\\d+)$`, 'gm'))]
        return series.reduce((sum, [, value]) => sum + Number(value), 0)
      }
      const faults = [...text.matchAll(/^shoal_exchange_faults_total\{fault="([^"]+)"\} (\d+)/gm)]
      return {
        sentBytes: total('shoal_exchange_sent_bytes_total'),
        receivedBytes: total('shoal_exchange_received_bytes_total'),
        faults: new Map(faults.map(([, kind = '', count]) => [kind, Number(count)])),
      }
    }),
  )
}

/** What was added since. */
export function trafficSince(before: readonly Traffic[], after: readonly Traffic[]): Traffic[] {
  return after.map((now, index) => {
    const then = before[index] ?? { sentBytes: 0, receivedBytes: 0, faults: new Map<string, number>() }
    const faults = [...now.faults].map(
      ([kind, count]) => [kind, count - (then.faults.get(kind) ?? 0)] as const,
    )
    return {
      sentBytes: now.sentBytes - then.sentBytes,
      receivedBytes: now.receivedBytes - then.receivedBytes,
      faults: new Map(faults.filter(([, count]) => count > 0)),
    }
  })
}

export function faultText(traffic: readonly Traffic[]): string {
  const sums = new Map<string, number>()
  for (const { faults } of traffic) {
    for (const [kind, count] of faults) sums.set(kind, (sums.get(kind) ?? 0) + count)
  }
  if (sums.size === 0) return 'no faults'
  return `faults: ${[...sums].map(([kind, count]) => `${count} ${kind}`).join(', ')}`
}

/** What is not the registry's on the HTTP port: health for supervisors, metrics for Prometheus. */
import type { Middleware } from 'koa'
import type { Hosts } from '../src/http/http.ts'
import { diskUsage } from '../src/store/store.ts'
import type { LocalNode } from './local-node.ts'
import type { NodeMetrics } from './metrics/metrics.ts'

export interface Health {
  /** Why content cannot be served as it should be; empty when it can. */
  problems(): Promise<string[]>
}

/** Health is told to whoever asks, by whichever name: supervisors use many. */
export function healthEndpoints(health: Health, metrics: NodeMetrics, hosts: Hosts): Middleware {
  return async (context, next) => {
    if (context.method !== 'GET' && context.method !== 'HEAD') return next()
    if (context.path === '/healthz') context.body = 'ok\n'
    else if (context.path === '/readyz') {
      const problems = await health.problems()
      context.status = problems.length === 0 ? 200 : 503
      context.body = problems.length === 0 ? 'ready\n' : `${problems.join('\n')}\n`
    } else if (context.path === '/metrics') {
      const refusal = hosts.refusal(context.req)
      if (refusal !== undefined) {
        context.status = 421
        context.body = `${refusal}\n`
        return
      }
      const { text, contentType } = await metrics.expose()
      context.type = contentType
      context.body = text
    } else return next()
  }
}

/** What stands here against taking content, whatever the cluster does. */
export async function localProblems({
  settings,
  databaseProblem,
}: Pick<LocalNode, 'settings' | 'databaseProblem'>): Promise<string[]> {
  return [databaseProblem(), await diskProblem(settings)].filter((problem) => problem !== undefined)
}

async function diskProblem({
  data,
  'min-free': minFreeBytes,
}: LocalNode['settings']): Promise<string | undefined> {
  try {
    const { freeBytes } = await diskUsage(data)
    if (freeBytes >= minFreeBytes) return undefined
    return `the disk is full: ${freeBytes} bytes are free, and nothing is taken below ${minFreeBytes} (--min-free)`
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return `the data directory ${data} cannot be looked at: ${why}`
  }
}

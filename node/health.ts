/** What is not the registry's on the HTTP port: health for supervisors, metrics for Prometheus. */
import type { Middleware } from 'koa'
import type { Hosts } from '../src/http/http.ts'
import { diskUsage, type FileStore } from '../src/store/store.ts'
import type { LocalNode } from './local-node.ts'
import type { NodeMetrics } from './metrics/metrics.ts'
import { formatBytes } from './screen/output.ts'

export interface Health {
  /** Why content cannot be served as it should be; empty when it can. */
  problems(): Promise<string[]>
  /** What does not keep it from being ready, and is to be known all the same. */
  notes?(): string[]
}

/** Health is told to whoever asks, by whichever name: supervisors use many. */
export function healthEndpoints(health: Health, metrics: NodeMetrics, hosts: Hosts): Middleware {
  return async (context, next) => {
    if (context.method !== 'GET' && context.method !== 'HEAD') return next()
    if (context.path === '/healthz') context.body = 'ok\n'
    else if (context.path === '/readyz') {
      const problems = await health.problems()
      context.status = problems.length === 0 ? 200 : 503
      const lines = problems.length === 0 ? ['ready', ...(health.notes?.() ?? [])] : problems
      context.body = `${lines.join('\n')}\n`
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
  store,
}: Pick<LocalNode, 'settings' | 'databaseProblem'> & { store: Pick<FileStore, 'room'> }): Promise<string[]> {
  return [databaseProblem(), await diskProblem(settings), limitProblem(store)].filter(
    (problem) => problem !== undefined,
  )
}

/** With less than this part of it left, hardly a push would fit. */
const leastLeft = 0.01

function limitProblem({ room }: Pick<FileStore, 'room'>): string | undefined {
  const { limit } = room.status()
  if (limit?.isStuck !== true || limit.filledBytes <= (1 - leastLeft) * limit.maxBytes) return undefined
  return `the data directory takes ${formatBytes(limit.filledBytes)} of the ${formatBytes(limit.maxBytes)} that it may (--max-disk), and nothing of that may go; see shoal gc --plan`
}

/** What is here is pulled, and what is small enough is pushed. */
export function roomNotes({ room }: Pick<FileStore, 'room'>): string[] {
  const { limit } = room.status()
  if (limit?.isStuck !== true || limit.filledBytes <= limit.highBytes) return []
  const left = Math.max(0, limit.maxBytes - limit.filledBytes)
  return [
    `pushes of more than ${formatBytes(left)} are refused: the data directory takes ${formatBytes(limit.filledBytes)} of ${formatBytes(limit.maxBytes)} (--max-disk), and nothing may go; see shoal gc --plan`,
  ]
}

async function diskProblem({
  data,
  'min-free': minFreeBytes,
}: LocalNode['settings']): Promise<string | undefined> {
  try {
    const { freeBytes } = await diskUsage(data)
    if (freeBytes >= minFreeBytes) return undefined
    return `the disk is full: ${formatBytes(freeBytes)} are free, and nothing is taken below ${formatBytes(minFreeBytes)} (--min-free); shoal gc --plan says what may go`
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return `the data directory ${data} cannot be looked at: ${why}`
  }
}

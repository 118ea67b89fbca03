/** Whether dockerd asks a proxy for what it should ask the node for. */
import { type Address, isLoopback } from '../settings/kinds.ts'
import { type Finding, fault, note } from './check.ts'
import type { DockerState } from './docker-engine.ts'

/** What the engine says counts; daemon.json is for one that does not run. */
export function judgeProxy(
  config: Record<string, unknown>,
  engine: DockerState,
  registry: Address,
): Finding[] {
  const configured = (config.proxies ?? {}) as Record<string, unknown>
  const proxy = engine.state === 'answers' ? engine.info.httpProxy : textOf(configured['http-proxy'])
  const except = (engine.state === 'answers' ? engine.info.noProxy : textOf(configured['no-proxy'])).split(
    ',',
  )
  if (proxy === '') return []
  const set = 'set NO_PROXY (or no-proxy under proxies in daemon.json) to'
  if (isLoopback(registry.host)) {
    if (except.some((entry) => entry.trim() === 'localhost' || entry.trim() === '*')) return []
    // Go's HTTP client, which docker uses, asks no proxy for loopback; curl and others do.
    return [
      note(
        `dockerd uses the proxy ${withoutPassword(proxy)} with no exception for localhost; docker makes one by itself, other programs may not`,
        `${set} localhost,127.0.0.1`,
      ),
    ]
  }
  if (except.some((entry) => covers(entry.trim(), registry.host))) return []
  return [
    fault(
      `dockerd asks the proxy ${withoutPassword(proxy)} for what it should ask the node at ${registry.host} for`,
      `${set} ${registry.host},localhost,127.0.0.1`,
    ),
  ]
}

/** As Go's httpproxy reads an entry: a name with those below it, or an address. */
function covers(entry: string, host: string): boolean {
  if (entry === '*' || entry === host) return true
  const name = entry.startsWith('.') ? entry.slice(1) : entry
  return name !== '' && host.endsWith(`.${name}`) && !/^[\d.]+$/.test(host)
}

function withoutPassword(proxy: string): string {
  return proxy.replace(/\/\/[^/@]*@/, '//')
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

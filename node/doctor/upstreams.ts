/** Whether the registries that this node mirrors answer it, and take its credentials. */
import type { UpstreamStatus } from '../../src/upstream/upstream.ts'
import { formatTime } from '../screen/output.ts'
import { type Check, type Finding, fault, fine, note } from './check.ts'

export function judgeUpstream(status: UpstreamStatus): Finding {
  const { name, url, reachable, lastError, pausedUntilMs, remaining } = status
  const said = lastError === undefined ? '' : `: ${lastError}`
  if (pausedUntilMs !== undefined) {
    return fault(
      `${name} wants to be left alone until ${formatTime(pausedUntilMs)} UTC${said}`,
      'give credentials, which most registries allow more requests; what the cluster holds is served meanwhile',
    )
  }
  if (isRefused(lastError)) {
    return fault(
      `${name} refuses the credentials${said}`,
      `give right ones for ${name}, see --upstream in shoal serve --help`,
    )
  }
  if (reachable === false) {
    return fault(
      `${name} cannot be reached at ${url}${said}`,
      'look at DNS, the route, the firewall and the proxy of this host',
    )
  }
  if (remaining === 0) {
    return fault(
      `${name} allows no more requests for now`,
      'give credentials, which most registries allow more requests',
    )
  }
  if (lastError !== undefined) return note(`the last request to ${name} failed${said}`)
  return reachable === undefined ? note(`${name} was not asked yet`) : fine(`${name} answers`)
}

/** The upstream's client says in words what went wrong, with the status that it was answered. */
function isRefused(error: string | undefined): boolean {
  return (
    error !== undefined &&
    /\b(?:401|403)\b|credentials|user name and password|unauthori[sz]ed|denied/i.test(error)
  )
}

export const upstreams: Check = {
  name: 'upstreams',
  async examine({ node }) {
    return (node?.reach.upstreams ?? []).map(judgeUpstream)
  },
}

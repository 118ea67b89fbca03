/** Whether the registries that this node mirrors answer it, and take its credentials. */
import type { UpstreamStatus } from '../../src/upstream/upstream.ts'
import { formatTime } from '../screen/output.ts'
import { type Check, type Finding, fault, fine, note } from './check.ts'

export function judgeUpstream(status: UpstreamStatus): Finding {
  const { name, url, reachable, lastError, pausedUntilMs, remaining, credentials } = status
  const said = lastError === undefined ? '' : `: ${lastError}`
  if (pausedUntilMs !== undefined) {
    return fault(
      `${name} wants to be left alone until ${formatTime(pausedUntilMs)} UTC${said}`,
      'give credentials, which most registries allow more requests; what the cluster holds is served meanwhile',
    )
  }
  if (credentials?.refused === true) {
    return fault(
      `${name} refuses the credentials${said}`,
      `they are set in ${credentials.from ?? 'the config file'}; put right ones there and restart the node`,
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

export const upstreams: Check = {
  name: 'upstreams',
  async examine({ node }) {
    return (node?.reach.upstreams ?? []).map(judgeUpstream)
  },
}

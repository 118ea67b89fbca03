/** The operations behind `shoal upstreams` and `shoal client-config`. */
import { clientConfig } from '../client-config.ts'
import { authorityOf } from '../tls/own-authority.ts'
import { NotRunningError } from './cluster.ts'
import type { Operation } from './operations.ts'

export const listUpstreams: Operation<'upstreams'> = async ({ upstreams }) => {
  if (upstreams === undefined) {
    throw new NotRunningError('no node runs on this data directory; start it with shoal serve')
  }
  return upstreams.all.map((upstream) => upstream.status())
}

export const showClientConfig: Operation<'client-config'> = async ({ node }, { client }) =>
  clientConfig(client, node.settings, await authorityOf(node.settings))

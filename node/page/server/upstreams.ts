/** The registries outside the cluster that this node may fetch from, and what they allow it. */
import type { UpstreamsAnswer } from '../answers/storage.ts'
import type { PageNode } from '../page.ts'

export async function describeUpstreams(
  node: Pick<PageNode, 'operate'>,
  options: { signal: AbortSignal },
): Promise<UpstreamsAnswer> {
  const upstreams = await node.operate('upstreams', {}, options)
  return {
    upstreams: upstreams.map(({ reachable, ...status }) => ({
      ...status,
      ...(reachable === undefined ? {} : { reachable }),
    })),
  }
}

/** Tests of whole nodes, each on a network of its own, so that several can run at once. */
import { test } from 'vitest'
import { showOutput } from '../e2e/process.ts'
import { type ClusterNode, type ClusterNodeOptions, openClusterNode } from './cluster-node.ts'
import { type Network, openNetwork } from './network.ts'

export interface ClusterNetwork {
  readonly network: Network
  /** Starts a node on that host; it is gone at the end of the test. */
  open(index: number, options?: ClusterNodeOptions): Promise<ClusterNode>
}

/** A `test` whose `hosts` are that many, without a node yet. */
export function testOnNetwork(size: number) {
  return test.extend<{ hosts: ClusterNetwork }>({
    hosts: async ({ onTestFailed }, use) => {
      const nodes: ClusterNode[] = []
      onTestFailed(() => showOutput(nodes))
      await using stack = new AsyncDisposableStack()
      const network = stack.use(await openNetwork(size))
      await use({
        network,
        async open(index, options = {}) {
          const host = network.hosts[index]
          if (host === undefined) throw new Error(`no host ${index}`)
          const node = stack.use(await openClusterNode(host, options))
          nodes.push(node)
          return node
        },
      })
    },
  })
}

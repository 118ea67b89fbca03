/** docker on a host of its own, which trusts a node elsewhere once it has the authority that the node's own host prints. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ClientConfig } from '../../node/client-config.ts'
import { pushItem } from '../e2e/client.ts'
import { openDockerEngine } from '../e2e/docker-engine.ts'
import { makeImage } from '../e2e/image.ts'
import { requires } from '../e2e/requirement.ts'
import { openScratchFolder } from '../e2e/scratch-folder.ts'
import { openClusterNode } from './cluster-node.ts'
import { networkNeeds, openNetwork } from './network.ts'

describe(
  'a node that serves other hosts',
  requires(...networkNeeds, 'dockerd', 'docker', 'nsenter', 'unshare'),
  () => {
    test('refuses to without access rules; with them, docker elsewhere trusts it by its authority alone, and logs in', async () => {
      await using stack = new AsyncDisposableStack()
      const network = stack.use(await openNetwork(2))
      const [at, elsewhere] = network.hosts
      if (at === undefined || elsewhere === undefined) throw new Error('two hosts')
      const flags = ['--no-mdns', '--http', '0.0.0.0:5000', '--tls', 'self', '--plain-loopback']
      await expect(openClusterNode(at, { flags })).rejects.toThrow('the policy has no access rules')
      const node = stack.use(await openClusterNode(at, { flags: ['--no-mdns'] }))
      await pushItem(node.client, 'tls/app', '1', makeImage({ seed: 'tls-elsewhere', layerBytes: [100_000] }))
      const folder = stack.use(await openScratchFolder())
      const { secret } = JSON.parse(await node.shoal('account', 'robot', 'deploy', '--json')) as {
        secret: string
      }
      const access = [{ repositories: 'tls/**', who: ['robot:deploy'], may: ['pull', 'push'] }]
      await writeFile(folder.at('policy.json'), JSON.stringify({ access }))
      await node.shoal('policy', 'set', folder.at('policy.json'))
      await node.stop()
      await node.start(flags)

      const trusted = folder.at('docker/certs.d', `${at.address}:5000`)
      await mkdir(trusted, { recursive: true })
      const engine = stack.use(
        await openDockerEngine('default', {
          command: (program, args) => {
            // What is mounted goes with the process.
            const script = `mount --bind ${folder.at('docker')} /etc/docker && exec "$@"`
            // `ip netns exec` has a /sys without the control groups that dockerd needs.
            const inside = [
              `--net=/run/netns/${elsewhere.name}`,
              'unshare',
              '--mount',
              'sh',
              '-c',
              script,
              'sh',
            ]
            return { command: 'nsenter', args: [...inside, program, ...args] }
          },
        }),
      )
      const name = `${at.address}:5000/tls/app:1`
      await expect(engine.docker(['pull', name])).rejects.toThrow(/certificate signed by unknown authority/)
      const { files } = JSON.parse(await node.shoal('client-config', 'docker', '--json')) as ClientConfig
      const [authority] = files
      expect(path.dirname(authority?.path ?? '')).toBe('/etc/docker/certs.d/localhost:5000')
      await writeFile(path.join(trusted, 'ca.crt'), authority?.content ?? '')
      await expect(engine.docker(['pull', name])).rejects.toThrow(/denied|unauthorized|basic auth/)
      await engine.docker(['login', '--username', 'robot$deploy', '--password', secret, `${at.address}:5000`])
      await engine.docker(['pull', name])
      await engine.docker(['push', name])
    })
  },
)

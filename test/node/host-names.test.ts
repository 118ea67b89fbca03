import { request } from 'node:http'
import { hostname } from 'node:os'
import { describe, expect, it } from 'vitest'
import { findHostNames, namesOf } from '../../node/host-names.ts'
import { openLiveNode } from './live-node.ts'

function status(url: string, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { headers: { Host: host }, agent: false })
    outgoing.once('response', (answer) => resolve(answer.resume().statusCode ?? 0))
    outgoing.once('error', reject).end()
  })
}

describe('the names of this host', () => {
  it('are what its table of hosts calls its own addresses', () => {
    const hosts = `
127.0.0.1 localhost
127.0.1.1\tnode-a.corp.example node-a # by the installer
# 127.0.0.1 gone.example
::1 ip6-localhost
10.0.0.7 registry.example
10.0.0.8 other.example
0.0.0.0 blocked.example
nonsense`
    expect(namesOf(new Set(['10.0.0.7']), hosts)).toEqual([
      'localhost',
      'node-a.corp.example',
      'node-a',
      'ip6-localhost',
      'registry.example',
    ])
  })

  it('include the one it has', async () => {
    expect(await findHostNames()).toContain(hostname())
  })

  it('open every door of a node but health, which is open to all', async () => {
    await using node = await openLiveNode(['--allow-host', 'registry.example', '--page-host', 'page.example'])
    const doors = ['/v2/', '/metrics', '/', '/api/repositories', '/healthz', '/readyz']
    const statuses = (host: string) => Promise.all(doors.map((door) => status(`${node.url}${door}`, host)))
    for (const host of [hostname(), 'registry.example:5000', 'page.example', '192.0.2.1:80'])
      expect(await statuses(host)).toEqual([200, 200, 200, 200, 200, 200])
    expect(await statuses('evil.example')).toEqual([421, 421, 421, 421, 200, 200])
  })
})

import { appendFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { secrets } from '../../../node/doctor/secrets.ts'
import { readSettings } from '../../../node/settings/settings.ts'
import { startCluster } from '../../../src/swarm/cluster/cluster.ts'
import { temporaryFolder } from '../../store/scenery.ts'

const docker = { configFile: '/nowhere', socket: '/nowhere' }

it('are whole in a cluster whose secret was replaced, unless what is kept of that is not', async () => {
  await using folder = await temporaryFolder()
  await startCluster(folder.path)
  const { settings } = readSettings(['--data', folder.path], {})
  const found = async (): Promise<string> => {
    const findings = await secrets.examine({ settings, docker }, { signal: AbortSignal.timeout(60_000) })
    return findings.map((finding) => `${finding.level} ${finding.found}`).join('\n')
  }
  await appendFile(`${folder.path}/cluster`, `retired ${'0'.repeat(64)}\n`)
  expect(await found()).toBe('fine cluster, authority are whole and of mode 600')
  await appendFile(`${folder.path}/cluster`, 'no line of it\n')
  expect(await found()).toContain('is broken: it does not hold a cluster: a line')
})

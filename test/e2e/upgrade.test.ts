/** A node that starts over the data of an earlier version finds everything in it. */
import { cp } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { callRunningNode } from '../../node/admin/client.ts'
import { dataFormat } from '../../node/data-format.ts'
import { openLocalNode } from '../../node/local-node.ts'
import { createLogger } from '../../node/logger.ts'
import { readSettings } from '../../node/settings/settings.ts'
import { openClient } from './client.ts'
import { expectGolden } from './golden-checks.ts'
import { type GoldenData, unpackGolden } from './golden-data.ts'
import { openRegistry } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder } from './scratch-folder.ts'

const formats = Array.from({ length: dataFormat }, (_, index) => index + 1)

describe('over the data of an earlier version', requires('shoal', 'tar'), () => {
  test.each(formats)('of format %i, a node finds everything and goes on', async (format) => {
    await using folder = await openScratchFolder()
    const golden = await unpackGolden(format, folder.path)
    const prepare = async (data: string) =>
      await cp(folder.at('data'), data, { recursive: true, preserveTimestamps: true })
    await using registry = await openRegistry({ prepare })
    using client = openClient(registry.port)
    await expectGolden(client, golden)
    const peers = await callRunningNode(registry.data, 'peers', {}, () => undefined)
    const { peer, cluster } = golden
    expect(peers?.result).toMatchObject({ self: { peer, cluster } })
    await registry.stop()
    await expectKept(registry.data, golden)
  })
})

/** What a client does not see: the part of a blob that was on its way, and that nothing was found to be wrong. */
async function expectKept(data: string, { partial }: GoldenData): Promise<void> {
  const { settings } = readSettings(['--data', data], {})
  await using node = await openLocalNode({ settings, logger: createLogger('warn'), create: false })
  expect(await node.store.partials.list()).toMatchObject([{ digest: partial.digest, size: partial.size }])
  expect(await node.store.verify()).toMatchObject({ corrupt: [], unreadable: [] })
  expect(await node.collect({ dryRun: true })).toMatchObject({ manifests: 0 })
}

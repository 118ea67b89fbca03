/** What a request leaves behind in memory: nothing that the next quick collection does not take. */
import { Agent, get } from 'node:http'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { openApi } from './harness.ts'

setFlagsFromString('--expose-gc')
const collect: NodeJS.GCFunction = runInNewContext('gc')

function oldBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space')?.space_used_size ?? 0
}

it('keeps nothing of the requests for a small blob once they are answered', async () => {
  await using api = await openApi()
  const digest = await api.pushBlob('team/app', 'small')
  using agent = new KeptAgent()
  const ask = async (times: number): Promise<void> => {
    for (let asked = 0; asked < times; asked++) await agent.read(api.port, `/v2/team/app/blobs/${digest}`)
    // What outlives two of these is old, and stays until all of the heap is looked through.
    collect({ type: 'minor' })
    collect({ type: 'minor' })
  }
  await ask(60)
  const before = oldBytes()
  for (let turn = 0; turn < 5; turn++) await ask(20)
  expect((oldBytes() - before) / 100).toBeLessThan(2000)
})

class KeptAgent extends Agent implements Disposable {
  constructor() {
    super({ keepAlive: true, maxSockets: 1 })
  }

  async read(port: number, path: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    get({ port, path, agent: this }, (answer) => answer.resume().once('end', resolve)).once('error', reject)
    await promise
  }

  [Symbol.dispose](): void {
    this.destroy()
  }
}

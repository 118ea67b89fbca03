/** SIGKILL at random moments of pushes: what was acknowledged stays, and no unproven bytes get a digest's name. */
import { describe, expect, test } from 'vitest'
import { BlobAudit } from './blob-audit.ts'
import { openClient } from './client.ts'
import { CrashLedger } from './crash-ledger.ts'
import { CrashWriter } from './crash-writer.ts'
import { showOutput } from './process.ts'
import { Random } from './random.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'

// Of each node; there are two, because most of a round is waiting for one to start.
const KILLS_AT_WORK = 25
const KILLS_AT_START = 2
const WRITERS = 3
const SEED = Number(process.env.CRASH_SEED ?? 20_260_101)

describe.concurrent('a node that is killed again and again', requires('shoal'), () => {
  test.for([SEED, SEED + 1])(
    'keeps what it acknowledged (seed %i)',
    { timeout: 600_000 },
    async (seed, { onTestFailed }) => {
      await using registry = await openRegistry()
      onTestFailed(() => showOutput([registry]))
      const random = new Random(seed)
      const ledger = new CrashLedger()
      const audit = new BlobAudit(registry.data)
      const atStart = new Set<number>()
      while (atStart.size < KILLS_AT_START) atStart.add(random.between(1, KILLS_AT_WORK - 1))
      let resumed = 0

      for (let round = 0; round < KILLS_AT_WORK; round++) {
        resumed += await killAtWork(registry, ledger, random)
        expect((await audit.run()).wrong).toEqual([])
        if (atStart.has(round)) {
          await registry.launch()
          await afterMs(random.between(0, 400))
          await registry.kill()
        }
        await registry.start()
        using client = openClient(registry.port)
        await ledger.check(client)
      }

      using client = openClient(registry.port)
      await ledger.check(client, { everything: true })
      const { files, wrong } = await audit.run()
      expect(wrong).toEqual([])
      // A run that hardly pushed, or never resumed, would prove nothing.
      expect(files).toBeGreaterThan(KILLS_AT_WORK)
      expect(ledger.manifests.length).toBeGreaterThan(KILLS_AT_WORK)
      expect(resumed).toBeGreaterThan(KILLS_AT_WORK / 5)
    },
  )
})

/** Lets writers push until a random moment, kills the node, and returns how many uploads were resumed before. */
async function killAtWork(registry: Registry, ledger: CrashLedger, random: Random): Promise<number> {
  using client = openClient(registry.port)
  const moment = random.between(1, 150)
  const lagMs = random.between(0, 8)
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
  let events = 0
  let killed = false
  const onEvent = () => {
    if (++events === moment) reach()
  }
  const writers = Array.from({ length: WRITERS }, (_, index) => {
    const own = new Random(random.between(0, 2 ** 31))
    return new CrashWriter({ client, ledger, random: own, repository: `crash/writer-${index}`, onEvent })
  })
  const runs = writers.map((writer) =>
    writer.run().catch((error: unknown) => {
      if (!killed || !isBroken(error)) throw error
    }),
  )
  await Promise.race([reached.then(() => afterMs(lagMs)), Promise.all(runs)])
  killed = true
  await registry.kill()
  await Promise.all(runs)
  return writers.reduce((sum, { resumed }) => sum + resumed, 0)
}

/** The moment of a kill is chosen at random; nothing is waited for. */
function afterMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function isBroken(error: unknown): boolean {
  const codes = ['ECONNRESET', 'ECONNREFUSED', 'EPIPE']
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}

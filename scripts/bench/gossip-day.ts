/**
 * What the records of a day's pushes do to one node, as a program: another signs them, half of each arrives as gossip, late and out of
 * order, and the rest by a reconciliation every five minutes, on a clock that is set ahead. libp2p has no part in it.
 */
import { performance } from 'node:perf_hooks'
import { answerReconciliation, reconcile } from '../../src/records/records.ts'
import { channelPair } from '../../src/wire/wire.ts'
import {
  alice,
  authority,
  bob,
  fingerprintsOf,
  ManualClock,
  manifestChange,
  recordsOf,
  tagChange,
  testLedger,
} from '../../test/records/fixture.ts'
import { runCommand } from './command.ts'

const minuteMs = 60_000
const minutes = 24 * 60
const pushesPerMinute = 3
const tags = 1_000
const meetEvery = 5
const sweepEvery = 60

export interface GossipDay {
  tookMs: number
  pushes: number
  isAlike: boolean
}

/** `command` is a Node, or a script that becomes one. Throws `COMMAND_FAILED` where it was killed. */
export async function runGossipDay(command: string, { signal }: { signal: AbortSignal }): Promise<GossipDay> {
  const { stdout } = await runCommand(command, [import.meta.filename], { signal })
  return JSON.parse(stdout) as GossipDay
}

async function live(): Promise<GossipDay> {
  const clock = new ManualClock()
  await using here = await testLedger({ clock, identity: alice })
  await using elsewhere = await testLedger({ clock, identity: bob, authorityIdentity: authority })
  const startedMs = performance.now()
  const late: Uint8Array[] = []
  for (let minute = 0; minute < minutes; minute += 1) {
    clock.ms += minuteMs
    for (let push = 0; push < pushesPerMinute; push += 1) {
      const number = minute * pushesPerMinute + push
      const [repository, content] = [`team/app-${number % 10}`, `image ${number}`]
      const changes = [
        manifestChange(repository, content),
        tagChange(repository, `tag-${number % tags}`, content),
      ]
      late.push(...(await recordsOf(elsewhere.ledger, () => elsewhere.ledger.publish(changes))))
    }
    // Every other one is lost.
    const arrived = late.splice(0, Math.floor(late.length / 2)).filter((_, at) => at % 2 === 0)
    await here.ledger.apply(arrived.reverse())
    if (minute % meetEvery === 0) await meet()
    if (minute % sweepEvery === 0) await Promise.all([here.ledger.sweep(), elsewhere.ledger.sweep()])
  }
  await meet()
  const [mine, theirs] = await Promise.all(
    [here, elsewhere].map(async ({ ledger }) => (await fingerprintsOf(ledger)).of('')),
  )
  return {
    tookMs: performance.now() - startedMs,
    pushes: minutes * pushesPerMinute,
    isAlike: JSON.stringify(mine) === JSON.stringify(theirs),
  }

  async function meet(): Promise<void> {
    const { a, b } = channelPair()
    await Promise.all([
      reconcile(a, here.ledger, { clock }),
      answerReconciliation(b, elsewhere.ledger, { clock }),
    ])
  }
}

if (import.meta.main) process.stdout.write(JSON.stringify(await live()))
